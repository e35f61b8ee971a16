/* What if: one recording replayed as it was and with something changed, side by side. */
#pragma once
#include "recording/recording.h"
#include "sim/report.h"

/* whatif_about: (transfer full): what the recording is of, one line. */
char *whatif_about(const Recording *recording, const char *name);

/* whatif_text: (transfer full): @was and @then: of the same policies in the same order; @sets: (array NULL-terminated)
 * what makes the difference. */
char *whatif_text(const Report *was, const Report *then, const char *const *sets);
