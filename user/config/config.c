/* SPDX-License-Identifier: GPL-2.0-only */
/* config.c - reading and writing a configuration by its table of keys. */
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_check.h"
#include "config/config_fields.h"
#include "config/schema.h"

int config_parse(const char *path, const char *text, size_t size, FILE *errors,
		 struct config **ret_config)
{
	struct schema_reader *reader = NULL;
	struct config *config = calloc(1, sizeof(*config));
	int err = -ENOMEM;

	if (!config)
		goto fail;
	if (size > CONFIG_SIZE_MAX_BYTES) {
		(void)fprintf(errors, "%s:1: the file is too long: expected at most %d bytes\n",
			      path, CONFIG_SIZE_MAX_BYTES);
		err = -EINVAL;
		goto fail;
	}
	err = schema_open(text, size, &reader);
	if (err)
		goto fail;
	schema_read(reader, config_fields, config);
	err = config_check(config, reader);
	if (err)
		goto fail;
	err = schema_report(reader, path, errors);
	if (err)
		goto fail;
	schema_close(reader);
	*ret_config = config;
	return 0;
fail:
	if (err == -ENOMEM)
		(void)fprintf(errors, "%s:1: there is not enough memory to read the file\n", path);
	schema_close(reader);
	config_free(config);
	return err;
}

/* All of a file, or one byte more than may be: enough to tell that it is too long. */
static int file_read(const char *path, char *text, size_t text_size, size_t *ret_size)
{
	FILE *file = fopen(path, "re");
	int err = 0;

	if (!file)
		return -errno;
	errno = 0;
	*ret_size = fread(text, 1, text_size, file);
	if (ferror(file))
		err = errno ? -errno : -EIO;
	(void)fclose(file);
	return err;
}

int config_load(const char *path, FILE *errors, struct config **ret_config)
{
	const size_t text_size = CONFIG_SIZE_MAX_BYTES + 1;
	char *text = malloc(text_size);
	size_t size = 0;
	int err = -ENOMEM;

	if (text)
		err = file_read(path, text, text_size, &size);
	if (err)
		(void)fprintf(errors, "%s:1: cannot read the file: %s: expected a readable one\n",
			      path, strerror(-err));
	else
		err = config_parse(path, text, size, errors, ret_config);
	free(text);
	return err;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->service_count; i++)
		free(config->services[i].backends);
	free(config->services);
	free(config);
}

void config_print(const struct config *config, FILE *out)
{
	schema_write(config_fields, config, out);
}

void config_help(FILE *out, bool scdoc)
{
	schema_help(config_fields, out, scdoc);
}
