/*
 * talk -- a connection to the control socket of a running rkbridge, that never waits longer than ten seconds for it.
 */
#ifndef RKB_TOOL_TALK_H
#define RKB_TOOL_TALK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"

/* The socket; -1 and errno. */
int rkb_talk_connect(const char *path);
/* All of the bytes; false and errno. That is no reason not to read: the other side may have said why. */
bool rkb_talk_send(int fd, const uint8_t *data, size_t size);
/* Waits until the socket is ready for `what` of poll; false (with errno) after too long a silence. */
bool rkb_talk_wait(int fd, short what);
/* Says that nobody answers at path, why, and what to do; returns the exit code. */
int rkb_talk_unreachable(FILE *err, const char *path, int number);
/* Whether the line begins with this. */
bool rkb_talk_starts(struct rkb_slice line, const char *with);
/* 0, 1 or 2 for OK, WARN or BAD in the first line of `status`, or of `status json`; 69 where it says none of them. */
int rkb_talk_verdict(struct rkb_slice line);

#endif
