/*
 * Key file: the line scanner under config. Knows lines, sections and KEY = VALUE, and no key by name.
 *
 *   # comment     ; comment     [section]     key = value
 *
 * Comments stand on lines of their own. CRLF and a byte order mark are tolerated; NUL, other control characters but
 * tab, and anything that is not UTF-8 are refused. GKeyFile is not used because it forgets line numbers.
 */
#pragma once
#include <glib.h>

/*
 * KeyfileFunc: hears each section and each key in the order of the file.
 * @section: NULL while no section has begun
 * @key:     NULL when the line opens @section; then @value is NULL too
 * @value:   without the spaces around it; may be empty
 * Returns:  FALSE with an error to stop; the scanner puts "NAME:LINE: " before it
 */
typedef gboolean (*KeyfileFunc)(const char *section, const char *key, const char *value, guint line,
                                gpointer user_data, GError **error);

/* keyfile_scan: any bytes are safe. AEROSTAT_ERROR_INVALID: "NAME:LINE: what is wrong; what would be right". */
gboolean keyfile_scan(const char *text, gsize length, const char *name, KeyfileFunc func, gpointer user_data,
                      GError **error);
