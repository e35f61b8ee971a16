/* Inside config: the one table of keys, with each key's default and what sets it. */
#pragma once
#include "base/config.h"

typedef struct ConfigKey ConfigKey;

struct ConfigKey {
    const char *section;
    const char *name;
    const char *fallback; /* the default as one would write it; NULL for none */
    /* Takes @value over into @config. AEROSTAT_ERROR_INVALID without a place: "what is wrong; what would be right". */
    gboolean (*set)(Config *config, const ConfigKey *key, const char *value, GError **error);
    gsize offset; /* of the member of Config */
    guint flags;  /* ConfigKeyFlags */
};

typedef enum {
    KEY_AUTO = 1 << 0,     /* sizes: "auto" is allowed */
    KEY_PERCENT = 1 << 1,  /* sizes: a percentage is allowed */
    KEY_POSITIVE = 1 << 2, /* sizes: 0 is not */
    KEY_HALF = 1 << 3,     /* sizes: at most 50 % */
    KEY_EMPTY = 1 << 4,    /* an empty value is allowed */
    KEY_PATHS = 1 << 5,    /* globs: of absolute paths */
} ConfigKeyFlags;

extern const ConfigKey CONFIG_KEYS[];
extern const guint CONFIG_N_KEYS;

/* config_key_find: NULL with AEROSTAT_ERROR_INVALID, and what was probably meant, when it is not known. */
const ConfigKey *config_key_find(const char *section, const char *name, GError **error);

/* config_section_check: the same for the name of a section alone. */
gboolean config_section_check(const char *section, GError **error);
