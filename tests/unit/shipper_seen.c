/* shipper_seen -- see shipper_seen.h. */
#include "shipper_world.h"

#include <stdlib.h>
#include <unistd.h>

bool loop_was_told(struct world *world)
{
    uint64_t count;
    return read(world->loop_fd, &count, sizeof count) == sizeof count;
}

uint64_t delivered(struct world *world)
{
    const struct rkb_shipped *shipped = rkb_shipper_figures(world->shipper);
    for (int i = 1; i <= 2; i++)
        assert_int_equal(shipped->routes[i].delivered + shipped->routes[i].dead_lettered, shipped->routes[i].settled);
    return shipped->routes[1].delivered + shipped->routes[2].delivered;
}

uint64_t delivered_of(struct world *world, uint32_t route)
{
    return rkb_shipper_figures(world->shipper)->routes[route].delivered;
}

uint64_t dead_of(struct world *world, uint32_t route)
{
    return rkb_shipper_figures(world->shipper)->routes[route].dead_lettered;
}

size_t dead_letters(struct world *world, uint64_t *sequences, size_t room)
{
    char *path = join(world->directory, "dead-letters");
    size_t size, offset = RKB_SEGMENT_HEADER, count = 0;
    uint8_t *bytes = read_whole(path, &size);
    struct rkb_segment_head head;
    struct rkb_record letter, message;
    assert_true(rkb_segment_head_parse(bytes, size, &head, NULL));
    while (rkb_dead_next(bytes, size, head.salt, &offset, &letter, &message, NULL) == RKB_PARSE_RECORD)
        if (count++ < room)
            sequences[count - 1] = message.sequence;
    free(bytes);
    free(path);
    return count;
}

uint64_t errors_of(struct world *world, rd_kafka_resp_err_t error)
{
    const struct rkb_shipped *shipped = rkb_shipper_figures(world->shipper);
    for (size_t i = 0; i < RKB_KAFKA_ERRORS && shipped->errors[i].count > 0; i++)
        if (shipped->errors[i].error == error)
            return shipped->errors[i].count;
    return 0;
}

bool all_delivered(struct world *world, uint64_t wanted)
{
    return delivered(world) >= wanted;
}

bool all_taken(struct world *world, uint64_t wanted)
{
    return rkb_shipper_figures(world->shipper)->journal.head == wanted;
}

bool all_settled(struct world *world, uint64_t wanted)
{
    return rkb_shipper_figures(world->shipper)->journal.low == wanted;
}

bool all_in_flight(struct world *world, uint64_t wanted)
{
    return rkb_shipper_figures(world->shipper)->in_flight == wanted;
}

bool has_failed(struct world *world, uint64_t wanted)
{
    struct rkb_error error;
    (void)wanted;
    return rkb_shipper_failed(world->shipper, &error);
}

bool is_full(struct world *world, uint64_t wanted)
{
    return rkb_shipper_full(world->shipper) == (wanted == 1);
}
