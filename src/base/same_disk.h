/*
 * same_disk -- asks whether two paths are on one file system, without waiting for it.
 *
 * To ask may take as long as a sick disk does, so a thread of its own does it, once, and nobody waits for that: who
 * asked looks in from time to time. Linux tells file systems apart by st_dev; subvolumes of one disk may differ in it.
 */
#ifndef RKB_BASE_SAME_DISK_H
#define RKB_BASE_SAME_DISK_H

#include <stdbool.h>

enum rkb_same_disk { RKB_DISK_ASKING, RKB_DISK_UNKNOWN, RKB_DISK_SAME, RKB_DISK_OTHER };

struct rkb_disk_question;

/* Copies the paths. NULL where no thread can be had. */
struct rkb_disk_question *rkb_disk_ask(const char *one, const char *other);
enum rkb_same_disk rkb_disk_answer(const struct rkb_disk_question *question);
/* Whether it is answered or not. NULL is allowed. */
void rkb_disk_forget(struct rkb_disk_question *question);

#endif
