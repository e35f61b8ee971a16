/*
 * What is done to a FakeBackend's guests as a whole: power, definitions, setting aside, each answered at once, or refused,
 * or never. A guest that is asked to shut down does so only when the test stops it.
 */
#pragma once
#include "fake_backend.h"

typedef struct {
    BackendOps ops; /* first: the backend is found again by it */
    FakeBackend *fake;
    GString *log;      /* "stop:web-1-id configure:web-1-id on ..." */
    const char *fails; /* (nullable) these are refused, a space between them, as often as they are asked */
    const char *away;  /* (nullable) these are refused as if the hypervisor were away */
    const char *loses; /* (nullable) these are not done, and answered only when all is over */
    GPtrArray *lost;
    gboolean autostart; /* of the last that was created */
} FakePower;

/* fake_power_new: over @fake, which has these operations from now on; freed after it. */
FakePower *fake_power_new(FakeBackend *fake);
void fake_power_free(FakePower *power);
/* fake_power_times: how often @word is in the log. */
guint fake_power_times(const FakePower *power, const char *word);
