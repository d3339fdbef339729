/* SPDX-License-Identifier: GPL-2.0-only */
/* schema.h - YAML files described by tables.
 *
 * A table of fields says which keys a mapping has and where their values go in a
 * struct. One walker reads a file by it, keeping every mistake with its line; one
 * writer and one help text come from the same table. Knows nothing of ringway.
 * Control; a reader belongs to one thread. */
#ifndef RINGWAY_CONFIG_SCHEMA_H
#define RINGWAY_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Bytes that hold any one value as text, and any description of one. */
#define SCHEMA_TEXT_SIZE 256

/* Fields of one table. */
#define SCHEMA_FIELD_COUNT_MAX 16

struct schema_field;

/* A kind of value that is one YAML scalar. */
struct schema_scalar {
	/* Store text at value and return NULL; or leave value alone and return what is
	 * wrong, as the rest of a sentence that begins with the text. */
	const char *(*parse)(const struct schema_field *field, const char *text, void *value);

	/* The text that parse() reads back. false: the value is unset, there is none. */
	bool (*format)(const struct schema_field *field, const void *value, char *text,
		       size_t text_size);

	/* What parse() accepts, as "a number from 1 to 9". */
	void (*describe)(const struct schema_field *field, char *text, size_t text_size);
};

extern const struct schema_scalar schema_number;       /* of .size 1, 2 or 4 bytes */
extern const struct schema_scalar schema_power_of_two; /* likewise */
extern const struct schema_scalar schema_port;	       /* 2 bytes, network order */
extern const struct schema_scalar schema_duration;     /* seconds, 4 bytes */
extern const struct schema_scalar schema_duration_ms;  /* milliseconds, likewise */
extern const struct schema_scalar schema_choice;       /* by .choices, from .minimum on */

/* A list of what the field otherwise describes. */
struct schema_list {
	size_t minimum, maximum; /* items */
	size_t count_offset;	 /* size_t; read items only */
	size_t item_size;	 /* 0: all items are parsed into the one value */
	size_t line_offset;	 /* of unsigned int in an item that is a mapping */
	bool is_allocated;	 /* the value points to items that the struct's owner frees */
	bool has_shorthand;	 /* an item may be the value of its first field alone */
};

struct schema_field {
	const char *key;		    /* NULL: the end of the table */
	size_t offset, size;		    /* of the value in the struct */
	const struct schema_scalar *scalar; /* either this, */
	const struct schema_field *fields;  /* or a mapping */
	const struct schema_list *list;	    /* NULL: one of them, not many */
	uint64_t minimum, maximum;	    /* of a number, port or duration */
	size_t present_offset;	    /* of a mapping: bool, is it in the file? 0: nobody asks */
	const char *const *choices; /* names by enum value, NULL at the end */
	const char *unit;	    /* of a number: "bytes"; NULL: plain */
	bool required;
	const char *fallback;	   /* what an absent key means, as one would write it; */
	const char *fallback_note; /* or in words, where the checks compute it */
	const char *meaning;	   /* sentences */
};

struct schema_reader;

/* Parse text, which is not needed afterwards. 0 and *ret_reader is the caller's
 * (schema_close), even if the text is no YAML: that is a mistake like others. Or
 * -ENOMEM. */
int schema_open(const char *text, size_t size, struct schema_reader **ret_reader);

/* NULL is a no-op. */
void schema_close(struct schema_reader *reader);

/* Fill the zeroed struct from the file: what is mistaken stays zero, what is
 * absent becomes its fallback. */
void schema_read(struct schema_reader *reader, const struct schema_field *fields, void *ret_struct);

/* Add a mistake. about: the value that must not be judged further, or NULL. */
void schema_mistake(struct schema_reader *reader, unsigned int line, const void *about,
		    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Is there a mistake about the value at this address (a list: its count's)? */
bool schema_is_mistaken(const struct schema_reader *reader, const void *value);

/* The line of a key in a mapping of the top level, or with NULL that of the mapping
 * itself; 1 if it is not there. */
unsigned int schema_line(const struct schema_reader *reader, const char *mapping, const char *key);

/* Print the mistakes in the order of their lines, as "path:line: text". 0 if there
 * are none, else -EINVAL; -ENOMEM if memory ran out while reading. */
int schema_report(struct schema_reader *reader, const char *path, FILE *errors);

/* The struct as a file that reads back to it. */
void schema_write(const struct schema_field *fields, const void *value, FILE *out);

/* Every key with type, bounds, default and meaning: plain text or scdoc. */
void schema_help(const struct schema_field *fields, FILE *out, bool scdoc);

/* What a field takes, as "a list of 1 to 8, each a number from 1 to 9". */
void schema_describe(const struct schema_field *field, char *text, size_t text_size);

#endif
