/* Inside recording: the one table of a server's members, for writer and reader. */
#pragma once
#include "recording/recording.h"

typedef enum {
    MEMBER_BYTES,   /* 0 ... SIZE_MAX_BYTES */
    MEMBER_COUNTER, /* any; null = UNKNOWN */
    MEMBER_WEIGHT,
    MEMBER_TIME, /* microseconds since the first beat, may be negative; null = never */
    MEMBER_BOOL,
    MEMBER_FIXED,
    MEMBER_HOLD,
} MemberKind;

typedef struct {
    const char *name;
    MemberKind kind;
    gsize offset; /* in ServerFacts */
} Member;

extern const Member RECORDING_MEMBERS[];
extern const guint RECORDING_N_MEMBERS;

/* member_equal: whether @a and @b agree in it. */
gboolean member_equal(const Member *member, const ServerFacts *a, const ServerFacts *b);
