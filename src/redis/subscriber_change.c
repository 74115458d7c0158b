/*
 * subscriber_change -- other subscriptions than before, on a connection that stays; see subscriber.h.
 *
 *     asked --nothing is open--> adding: (P)SUBSCRIBE what is new --all answered--> turning: PING
 *                                                                                      | its answer: `turned`
 *       none <--all answered, `changed`-- leaving: (P)UNSUBSCRIBE what is gone <-------+
 *
 * Redis runs one command at a time and sends the copies of one message together, so the answer to a command of ours
 * stands between two messages in the stream: what was published before the PING ran comes before `turned`, what was
 * published after it comes behind, and of no message a part on either side. What is new stands before that, and what is
 * gone still does, so that a channel that only moves from one subscription to another is subscribed to all the time.
 * MULTI would say the same in one step, but a connection that is subscribed may not use it (RESP2).
 *
 * An answer may stand behind megabytes of messages, so what is read begins the connection's deadline anew. But not for
 * ever: where messages come and an answer does not, for ten times that deadline, the connection is given up.
 *
 * Promise: what stays is neither subscribed to again nor unsubscribed from. A connection that is lost, or
 * stops, ends the change at once: the next one subscribes to what is wanted. So each change ends, while
 * anything is read. Never: two changes at a time.
 */
#include "redis/subscriber_state.h"

#include "base/units.h"

/* ---- how long an answer may take ---- */

static void wait_on(struct rkb_subscriber *subscriber)
{
    const struct timeval time = {subscriber->left_us / 1000000, subscriber->left_us % 1000000};
    subscriber->waits_since_us = subscriber->sys->monotonic_us();
    event_add(subscriber->late, &time);
}

void rkb_subscriber_change_answered(struct rkb_subscriber *subscriber)
{
    if (subscriber->change == NONE)
        return;
    subscriber->left_us = subscriber->patience_us;
    if (!subscriber->paused)
        wait_on(subscriber);
}

void rkb_subscriber_change_rests(struct rkb_subscriber *subscriber)
{
    bool waits = event_pending(subscriber->late, EV_TIMEOUT, NULL) != 0;
    if (subscriber->change == NONE || waits != subscriber->paused)
        return;
    if (!subscriber->paused) {
        wait_on(subscriber);
        return;
    }
    int64_t waited_us = subscriber->sys->monotonic_us() - subscriber->waits_since_us;
    subscriber->left_us = waited_us < subscriber->left_us ? subscriber->left_us - waited_us : 0;
    event_del(subscriber->late);
}

static const char *awaited(const struct rkb_subscriber *subscriber)
{
    if (rkb_connection_awaits_pong(subscriber->connection))
        return "the answer to PING";
    return subscriber->change == LEAVING ? "the answer to UNSUBSCRIBE" : "the answer to all subscriptions";
}

void rkb_subscriber_change_late(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct rkb_subscriber *subscriber = context;
    struct rkb_error error;
    char time[32];
    rkb_format_duration(time, sizeof time, subscriber->patience_us);
    rkb_fail(&error, RKB_TIMEOUT, "%s did not come within %s, though other things did", awaited(subscriber), time);
    rkb_subscriber_renew(subscriber, &error);
}

/* ---- the steps ---- */

void rkb_subscriber_send_names(struct rkb_subscriber *subscriber, struct rkb_subscriptions *subscriptions,
                               const char *command, size_t from, size_t end)
{
    struct rkb_slice words[1 + RKB_BATCH_NAMES] = {rkb_slice_text(command)};
    int count = 1;
    for (size_t i = from; i < end; i++)
        words[count++] = rkb_wish_name(&subscriptions->list[i]);
    rkb_subscriptions_ask(subscriptions, from, end);
    rkb_connection_send(subscriber->connection, count, words);
}

/* What is asked for next takes the place of what was; of that, what stands and is not wanted any longer remains. */
static void take_over(struct rkb_subscriber *subscriber)
{
    struct rkb_subscriptions before = subscriber->subscriptions;
    subscriber->subscriptions = subscriber->other;
    rkb_subscriptions_inherit(&subscriber->subscriptions, &before);
    subscriber->other = before;
}

/* How many are still subscribed to that should not be. */
static void tell_changed(struct rkb_subscriber *subscriber)
{
    size_t kept = subscriber->is_stream ? subscriber->other.standing : 0;
    rkb_subscriptions_free(&subscriber->other);
    subscriber->other = (struct rkb_subscriptions){0};
    subscriber->change = NONE;
    event_del(subscriber->late);
    if (!subscriber->guard.doomed)
        subscriber->events.changed(subscriber->context, kept);
}

static bool is_quiet(const struct rkb_subscriber *subscriber)
{
    return subscriber->state == SUBSCRIBED && !subscriber->paused
        && rkb_subscriptions_first(&subscriber->subscriptions) == NULL
        && !rkb_connection_awaits_pong(subscriber->connection);
}

static void add(struct rkb_subscriber *subscriber)
{
    take_over(subscriber);
    subscriber->change = ADDING;
    rkb_subscriber_ask_all(subscriber);
    if (subscriber->is_stream)
        rkb_subscriber_check(subscriber);       /* calls us again where all is answered */
}

static void turn(struct rkb_subscriber *subscriber)
{
    subscriber->change = TURNING;
    if (!rkb_connection_ping(subscriber->connection))
        subscriber->change = ADDING;            /* reading rests: when it goes on */
}

static void leave(struct rkb_subscriber *subscriber)
{
    struct rkb_subscriptions *gone = &subscriber->other;
    subscriber->change = LEAVING;
    subscriber->events.turned(subscriber->context);
    for (size_t from = 0, end; from < gone->size && subscriber->is_stream; from = end) {
        if (subscriber->change != LEAVING || !rkb_subscriber_alive(subscriber))
            return;
        end = rkb_subscriptions_batch_end(gone, from);
        rkb_subscriber_send_names(subscriber, gone, from < gone->channels ? "UNSUBSCRIBE" : "PUNSUBSCRIBE", from, end);
    }
    if (subscriber->change != LEAVING || !subscriber->is_stream || !rkb_subscriber_alive(subscriber))
        return;
    if (gone->asked > 0)
        rkb_connection_expect(subscriber->connection, "the answer to UNSUBSCRIBE");
    else
        tell_changed(subscriber);
}

void rkb_subscriber_change_on(struct rkb_subscriber *subscriber)
{
    if (subscriber->change == NONE || subscriber->change == LEAVING || !rkb_subscriber_alive(subscriber)
        || !is_quiet(subscriber))
        return;
    rkb_subscriber_change_answered(subscriber);
    if (subscriber->change == ASKED)
        add(subscriber);
    else if (subscriber->change == ADDING)
        turn(subscriber);
    else
        leave(subscriber);
}

void rkb_subscriber_change_moves(struct rkb_subscriber *subscriber)
{
    bool asks = subscriber->change == ADDING && rkb_subscriptions_first(&subscriber->subscriptions) != NULL;
    if (subscriber->state != SUBSCRIBED || !subscriber->is_stream)
        return;
    if (asks)
        rkb_connection_expect(subscriber->connection, "the answer to all subscriptions");
    else if (subscriber->change == LEAVING)
        rkb_connection_expect(subscriber->connection, "the answer to UNSUBSCRIBE");
}

void rkb_subscriber_change_ended(struct rkb_subscriber *subscriber)
{
    enum change change = subscriber->change;
    if (change == NONE || subscriber->guard.doomed)
        return;
    if (change == ASKED)
        take_over(subscriber);
    subscriber->change = LEAVING;
    if (change != LEAVING)
        subscriber->events.turned(subscriber->context);
    tell_changed(subscriber);
}

/* A command that gives up subscriptions is answered; after the last one all is as before. */
static void check_left(struct rkb_subscriber *subscriber)
{
    rkb_subscriber_change_answered(subscriber);
    if (rkb_subscriptions_first(&subscriber->other) != NULL) {
        rkb_connection_expect(subscriber->connection, "the answer to UNSUBSCRIBE");
        return;
    }
    rkb_connection_beat(subscriber->connection);
    tell_changed(subscriber);
}

bool rkb_subscriber_left(struct rkb_subscriber *subscriber, bool is_pattern, struct rkb_slice name)
{
    if (subscriber->change != LEAVING || !rkb_subscriptions_leave(&subscriber->other, is_pattern, name))
        return false;
    check_left(subscriber);
    return true;
}

bool rkb_subscriber_stays(struct rkb_subscriber *subscriber, struct rkb_slice words)
{
    if (subscriber->change != LEAVING || rkb_refusal_lack(words) == RKB_LACKS_NOTHING
        || rkb_subscriptions_first(&subscriber->other) == NULL)
        return false;
    (void)rkb_subscriptions_take(&subscriber->other);
    check_left(subscriber);
    return true;
}

bool rkb_subscriber_change(struct rkb_subscriber *subscriber, struct rkb_subscriptions *wanted)
{
    if (subscriber->change != NONE || subscriber->guard.doomed)
        return false;
    rkb_guard_enter(&subscriber->guard);
    subscriber->other = *wanted;
    *wanted = (struct rkb_subscriptions){0};
    subscriber->change = ASKED;
    if (subscriber->is_stream) {
        rkb_subscriber_change_answered(subscriber);
        rkb_subscriber_change_on(subscriber);
    } else {
        rkb_subscriber_change_ended(subscriber);
    }
    rkb_guard_leave(&subscriber->guard);
    return true;
}
