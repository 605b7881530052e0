/*
 * A provider of security labels that accepts every label, as PostgreSQL's own tests have one. Debian's packages bring
 * none that works without SELinux. It needs no headers of the server: what it takes of them is written out below, as
 * PostgreSQL 15 has it.
 */
#include <stdbool.h>

struct magic {
	int len, version, funcmaxargs, indexmaxkeys, namedatalen, float8byval;
	char abi_extra[32];
};

const struct magic *Pg_magic_func(void);
void register_label_provider(const char *name, void (*check)(const void *object, const char *label));
void _PG_init(void);

const struct magic *Pg_magic_func(void)
{
	static const struct magic m = {sizeof m, 1500, 100, 32, 64, true, "PostgreSQL"};
	return &m;
}

static void accept_all(const void *object, const char *label)
{
	(void) object;
	(void) label;
}

void _PG_init(void)
{
	register_label_provider("forge labels", accept_all);
}
