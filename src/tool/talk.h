/*
 * talk -- a connection to the control socket of a running rkbridge, that never waits longer than ten seconds for it.
 */
#ifndef RKB_TOOL_TALK_H
#define RKB_TOOL_TALK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The socket; -1 and errno. */
int rkb_talk_connect(const char *path);
/* All of the bytes; false and errno. That is no reason not to read: the other side may have said why. */
bool rkb_talk_send(int fd, const uint8_t *data, size_t size);
/* Waits until the socket is ready for `what` of poll; false (with errno) after too long a silence. */
bool rkb_talk_wait(int fd, short what);
/* Says that nobody answers at path, why, and what to do; returns the exit code. */
int rkb_talk_unreachable(FILE *err, const char *path, int number);

#endif
