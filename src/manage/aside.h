/*
 * Aside: the old server of a reinstallation, kept out of sight with its disk until it is purged, or taken back when the
 * reinstallation fails. In the job's data: "old_id", "backend" (by its name), "keep" (what it is called meanwhile).
 */
#pragma once
#include "manage/job.h"

/* aside_home: the backend the old server is on, borrowed; NULL: the step has failed. */
Backend *aside_home(Job *job);
const char *aside_id(const Job *job);
void aside_begin(Job *job);
void aside_undo(Job *job);
/* aside_is_stuck: it could not be taken back: it has neither its name nor its place, and must not be started. */
gboolean aside_is_stuck(const Job *job);

/* aside_check_confirm: AEROSTAT_ERROR_INVALID unless @confirm (nullable) is @name; @what is to be confirmed. */
gboolean aside_check_confirm(const char *name, const char *confirm, const char *what, GError **error);
