/* Metrics: the host and its servers in OpenMetrics text. Pure. */
#pragma once
#include <glib.h>
#include <jansson.h>

#define METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* web_metrics: @host and @list: the results of `status` and `list`; what is null in them has no sample. (transfer full) */
GBytes *web_metrics(json_t *host, json_t *list);
