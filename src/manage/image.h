/*
 * Image: what a new server can be made from: one description per file, NAME.conf in the folder of images.
 *
 *     [image]
 *     title = Debian 12
 *     minimum = 512MiB          the least memory it runs with
 *     disk = debian-12.qcow2    a template that is copied; beside the description unless absolute
 *     format = qcow2            or raw
 *     kernel = vmlinuz          instead of a disk or with one: direct boot
 *     initramfs = initrd.img
 *     command-line = console=ttyS0
 *     network = default         of the hypervisor; none without it
 */
#pragma once
#include <stdint.h>
#include <glib.h>

typedef struct {
    char *name; /* of the file, without .conf */
    char *title;
    uint64_t minimum_bytes;
    char *disk, *format;                     /* (nullable) absolute; "qcow2" or "raw" */
    char *kernel, *initramfs, *command_line; /* (nullable) absolute */
    char *network;                           /* (nullable) */
} Image;

void image_free(Image *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Image, image_free)

/* image_parse: @file is named in errors ("debian-12.conf:3: ..."), @folder is what relative paths begin at.
 * AEROSTAT_ERROR_INVALID. Reads no other file; any bytes are safe. */
Image *image_parse(const char *text, gsize length, const char *name, const char *file, const char *folder,
                   GError **error);

/* A folder of images; read anew with each question, since people put files there. A folder that is missing has none. */
typedef struct ImageFolder ImageFolder;
ImageFolder *image_folder_new(const char *path);
void image_folder_free(ImageFolder *folder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImageFolder, image_folder_free)

/* image_folder_find: NULL with AEROSTAT_ERROR_NOT_FOUND (naming those there are) or AEROSTAT_ERROR_INVALID; or
 * AEROSTAT_ERROR_CONFLICT when a file of it is missing. */
Image *image_folder_find(ImageFolder *folder, const char *name, GError **error);
/* image_folder_list: (transfer full) (element-type Image) sorted by name; @problems: (nullable) (element-type utf8) gets
 * one sentence per description that is no good. */
GPtrArray *image_folder_list(ImageFolder *folder, GPtrArray *problems);
