/*
 * format -- the bytes of the journal: records and segment headers (doc/journal-format.md).
 *
 * All integers little-endian, written field by field.
 *
 * A segment header, 64 bytes, at offset 0 of every segment file:
 *     0  8  magic "RKBSEG\r\n"
 *     8  4  format version (2; 1 had no flags)
 *    12  4  header size (64)
 *    16 16  journal id
 *    32  8  salt, random, in every checksum of the segment
 *    40  8  first sequence number
 *    48  8  created, microseconds since 1970
 *    56  8  XXH3-64 of bytes 0..55
 *
 * A record, 64 bytes and then key, headers, value, zero padding to a multiple of 8:
 *     0  8  checksum: XXH3-64 of bytes 8..length, XOR salt
 *     8  4  length, padding included
 *    12  1  kind
 *    13  1  flags: 0x80 a dead letter; 0x40 its key is its channel; low 4 bits: the form of a message's value
 *    14  2  number of headers
 *    16  8  sequence (0 in a dictionary record: only messages, marks and gaps are numbered)
 *    24  8  time, microseconds since 1970: when we read it
 *    32  8  epoch of its mark        } the position
 *    40  4  count since that mark    }
 *    44  4  route number (a mark, a gap: source number)
 *    48  4  topic number
 *    52  4  key length; 0xffffffff: no key
 *    56  4  headers length
 *    60  4  value length
 *
 * The headers area: per header u16 name length, u32 value length, name, value.
 *
 * A record counts if its length lies within the segment, is a multiple of 8 and equals what its
 * fields add up to, its kind is known, its checksum holds, and its sequence follows the one before.
 * Length 0 (with checksum 0): nothing was written here yet.
 */
#ifndef RKB_JOURNAL_FORMAT_H
#define RKB_JOURNAL_FORMAT_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/headers.h"

#define RKB_FORMAT_VERSION 2
#define RKB_SEGMENT_HEADER 64
#define RKB_RECORD_HEADER 64

/* RKB_DEAD stands only in the file of dead letters (dead.h), never in a segment or the ring. */
enum rkb_kind { RKB_MESSAGE = 1, RKB_DICTIONARY = 2, RKB_MARK = 3, RKB_GAP = 4, RKB_DEAD = 5 };

/*
 * Flags, of messages only. DEAD: a dead letter on its way to its topic, or (topic 0) to the file. CHANNEL: the key is
 * the channel it came from. RETRIED: a dead letter that is sent again; its time is when it was read, and says nothing
 * of how long it has been on its way. FORM: what envelope made the value (enum rkb_form of message/inverse.h), 0: not
 * known.
 */
#define RKB_FLAG_DEAD 0x80u
#define RKB_FLAG_CHANNEL 0x40u
#define RKB_FLAG_RETRIED 0x20u
#define RKB_FLAG_FORM 0x0fu

/* A record taken apart; the slices point into the bytes it was parsed from. */
struct rkb_record {
    enum rkb_kind kind;
    uint8_t flags;          /* RKB_FLAG_... */
    uint16_t header_count;
    uint64_t sequence;
    int64_t time_us;
    uint64_t epoch;
    uint32_t count;
    uint32_t route;         /* in marks and gaps: the source's number */
    uint32_t topic;
    bool has_key;
    struct rkb_slice key, headers, value;
};

/* The whole size of a record with these parts, header and padding included. */
size_t rkb_record_size(size_t key, size_t headers, size_t value);

/*
 * Writes the 64 header bytes (checksum still 0) and the zero padding of a record at `at`, taking
 * the lengths from record's slices; their data is not looked at. The caller then writes key,
 * headers and value one after the other from at + RKB_RECORD_HEADER on, and seals. Returns the record's whole size.
 */
size_t rkb_record_begin(uint8_t *at, const struct rkb_record *record);

/* Computes the checksum over the finished record, with this salt, and stores it. */
void rkb_record_seal(uint8_t *at, uint64_t salt);

/* Exchanges the salt in a sealed record's checksum; costs no hashing. */
void rkb_record_resalt(uint8_t *at, uint64_t from, uint64_t to);

/*
 * One whole record in one call, for what is not per message: header, key, headers, value copied from the slices,
 * sealed. Returns its size.
 */
size_t rkb_record_write(uint8_t *at, const struct rkb_record *record, uint64_t salt);

/* The length field at `at` (which has at least 12 bytes behind it): 0 where nothing was written. */
uint32_t rkb_record_length(const uint8_t *at);

enum rkb_parse { RKB_PARSE_RECORD, RKB_PARSE_BLANK, RKB_PARSE_BAD };

/*
 * Takes the record at `at` apart if it counts by the rule above (but for the order of sequences, which the reader of a
 * segment checks). BLANK: length and checksum are 0, or fewer than 64 bytes are available and all of them are 0. BAD:
 * *why, if not NULL, points to a fixed phrase ("checksum does not hold").
 */
enum rkb_parse rkb_record_parse(const uint8_t *at, size_t available, uint64_t salt, struct rkb_record *record,
                                const char **why) RKB_MUST_CHECK;

/* The same where dead letters may stand too. */
enum rkb_parse rkb_record_parse_any(const uint8_t *at, size_t available, uint64_t salt, struct rkb_record *record,
                                    const char **why) RKB_MUST_CHECK;

/* The first without the checksum: for bytes that have not left this process, and for finding one's way. */
enum rkb_parse rkb_record_peek(const uint8_t *at, size_t available, struct rkb_record *record,
                               const char **why) RKB_MUST_CHECK;

struct rkb_segment_head {
    uint32_t version;
    uint8_t journal_id[16];
    uint64_t salt;
    uint64_t first_sequence;
    int64_t created_us;
};

void rkb_segment_head_write(uint8_t at[RKB_SEGMENT_HEADER], const struct rkb_segment_head *head);
/* RKB_DAMAGED for a wrong magic or checksum, RKB_VERSION for a newer format, said in words. */
bool rkb_segment_head_parse(const uint8_t *at, size_t available, struct rkb_segment_head *head,
                            struct rkb_error *error) RKB_MUST_CHECK;

/* The record's count, if it is a message of this epoch and tells more than was known; else what was known. */
static inline uint32_t rkb_record_last_count(const struct rkb_record *record, uint64_t epoch, uint32_t known)
{
    bool tells = record->kind == RKB_MESSAGE && (record->flags & RKB_FLAG_RETRIED) == 0 && record->epoch == epoch;
    return tells && record->count > known ? record->count : known;
}

#endif
