/* same_disk -- see same_disk.h. Who is done with the question last, the asker or the thread, frees it. */
#include "base/same_disk.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct rkb_disk_question {
    atomic_int answer, holders;
    char *one, *other;
};

static void let_go(struct rkb_disk_question *question)
{
    if (atomic_fetch_sub(&question->holders, 1) > 1)
        return;
    free(question->one);
    free(question->other);
    free(question);
}

static void *look(void *arg)
{
    struct rkb_disk_question *question = arg;
    struct stat one, other;
    enum rkb_same_disk answer = RKB_DISK_UNKNOWN;
    if (stat(question->one, &one) == 0 && stat(question->other, &other) == 0)
        answer = one.st_dev == other.st_dev ? RKB_DISK_SAME : RKB_DISK_OTHER;
    atomic_store(&question->answer, answer);
    let_go(question);
    return NULL;
}

static bool start(struct rkb_disk_question *question)
{
    pthread_attr_t detached;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init(&detached) != 0)
        return false;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, &detached, look, question) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    return started;
}

struct rkb_disk_question *rkb_disk_ask(const char *one, const char *other)
{
    struct rkb_disk_question *question = calloc(1, sizeof *question);
    if (question == NULL)
        return NULL;
    question->one = strdup(one);
    question->other = strdup(other);
    atomic_init(&question->holders, 2);
    if (question->one != NULL && question->other != NULL && start(question))
        return question;
    atomic_store(&question->holders, 1);
    let_go(question);
    return NULL;
}

enum rkb_same_disk rkb_disk_answer(const struct rkb_disk_question *question)
{
    return (enum rkb_same_disk)atomic_load(&question->answer);
}

void rkb_disk_forget(struct rkb_disk_question *question)
{
    if (question != NULL)
        let_go(question);
}
