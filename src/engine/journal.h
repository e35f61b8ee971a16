/* Journal: every change of a target, with its reason in words and numbers, and who gave what it was paid with. */
#pragma once
#include <stdint.h>
#include <glib.h>
#include "engine/relief.h"
#include "policy/decide.h"

typedef struct {
    char *id;   /* of the server; "": pool memory that nobody held */
    char *from; /* its name, or "free" */
    uint64_t bytes;
} JournalSource;

typedef struct {
    uint64_t sequence;   /* counts up from 1 */
    int64_t wall_us;     /* Unix time of the decision */
    int64_t sent_us;     /* ... when its target was handed to the backend; 0 = not sent */
    int64_t answered_us; /* ... and when the hypervisor said what became of it; 0 = not yet */
    char *server_id;     /* NULL for a note about the host */
    char *server;        /* name at that time; NULL for a note about the host */
    Move move;           /* MOVE_NONE for a note */
    uint64_t from_bytes, to_bytes;
    uint64_t used_bytes; /* UNKNOWN when the guest had not told */
    uint64_t need_bytes, allocation_bytes;
    gboolean performed; /* FALSE: observe mode, not yet answered, or refused (then @error) */
    char *error;
    char *text;           /* one sentence for people */
    char *private_text;   /* (nullable: the same) for the server's owner: no other server is named */
    uint64_t burst_bytes; /* a grant on residency alone: what it had grown by; else 0 */
    int64_t burst_us;     /* ... and within what time */
    Rise rise;            /* a note about how a server got what it needed; else all 0 */
    int64_t rise_unix_us; /* ... when that began */
    GPtrArray *sources;   /* (element-type JournalSource) (nullable) */
} JournalEntry;

typedef struct Journal Journal;

/* journal_new: keeps the newest @capacity entries. Free with journal_free(); entries belong to the journal. */
Journal *journal_new(guint capacity);
void journal_free(Journal *journal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Journal, journal_free)

/* journal_add: (transfer full) @entry; sets its sequence. Returns it, valid until it is pushed out. */
JournalEntry *journal_add(Journal *journal, JournalEntry *entry);
JournalEntry *journal_entry_new(const char *server_id, const char *server);
/* journal_by_sequence: NULL when it has been pushed out. */
JournalEntry *journal_by_sequence(Journal *journal, guint64 sequence);

/* journal_recent: (transfer container): newest first, at most @limit; @server_id NULL for all. */
GPtrArray *journal_recent(Journal *journal, const char *server_id, guint limit);

/*
 * Whence memory came. Bytes that came back from a server stand in a queue, oldest first; a grant takes from it, and
 * what it does not find there was pool memory that nobody held. It is book-keeping for people: bytes have no names.
 * Servers are told apart by id, since two backends may have one of the same name; @name is what people are shown.
 */
void journal_returned(Journal *journal, const char *id, const char *name, uint64_t bytes);
/* journal_spend: (transfer full) (element-type JournalSource): what @bytes are to be paid with. When it is known what
 * became of that: journal_spent() adds it to the flows, journal_unspent() puts it back where it was. */
GPtrArray *journal_spend(Journal *journal, uint64_t bytes);
void journal_spent(Journal *journal, const char *id, const char *name, const GPtrArray *sources);
void journal_unspent(Journal *journal, const GPtrArray *sources);
/* For lists of them elsewhere. */
JournalSource *journal_source_new(const char *id, const char *from, uint64_t bytes);
void journal_source_free(JournalSource *source);
/* journal_queue_limit: forgets the oldest returned bytes beyond what the pool really has free. */
void journal_queue_limit(Journal *journal, uint64_t free_bytes);

/* @from, @to: names. */
typedef void (*JournalFlowFunc)(const char *from, const char *to, uint64_t bytes, gpointer user_data);
/* All flows since the daemon started, giver by giver; of very many the smallest are forgotten. */
#define JOURNAL_FLOWS_MAX 4096
void journal_flows(Journal *journal, JournalFlowFunc func, gpointer user_data);
/* journal_lent: by ids: what @to holds of @from's by the flows, less what flowed back. */
uint64_t journal_lent(Journal *journal, const char *from, const char *to);

/* journal_sentence: the text of a decision. @waiter: (nullable) who waits; @would: observe mode; @names: FALSE leaves out what
 * other servers are called. Pure. */
char *journal_sentence(const JournalEntry *entry, const char *waiter, gboolean would, gboolean names);
