/* SPDX-License-Identifier: GPL-2.0-only */
/* xdp_features_test.c - what is said of interfaces that take redirected frames, and of
 * others. Root. */
#include "host/xdp_features.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <net/if.h>

/* Last: it has a macro fail(). */
#include <cmocka.h>

#include "netns.h"

static char error[512];

static int check(const char *ifname, const char *driver)
{
	struct host_link link = { .ifindex = if_nametoindex(ifname) };

	if (!link.ifindex)
		link.ifindex = 4711;
	strcpy(link.driver, driver);
	error[0] = 0;
	return xdp_features_check_redirect(ifname, &link, error, sizeof(error));
}

#define LOST                                                                                \
	" does not take frames that XDP redirects, so with `return_path: xdp` the answers " \
	"to its clients would be lost: `return_path: userspace`"

static void redirection_is_checked(void **state)
{
	struct netns netns;

	(void)state;
	netns_open(&netns);
	netns_run(&netns, "ip link add rw0 type veth peer name rwp0 netns %s && ip link set rw0 up",
		  netns_peer_path(&netns));
	netns_run_peer(&netns, "ip link set rwp0 up && ethtool -K rwp0 gro off");
	if (!check("lo", "")) /* which never does: Linux before 6.3 */
		skip();
	assert_string_equal(error, "lo" LOST);
	assert_int_equal(check("rw0", "veth"), -EOPNOTSUPP);
	assert_string_equal(error, "rw0" LOST ", or at its other end `ethtool -K PEER gro on`");

	print_message("case: that sentence helps\n");
	netns_run_peer(&netns, "ethtool -K rwp0 gro on");
	assert_int_equal(check("rw0", "veth"), 0);
	assert_string_equal(error, "");

	print_message("case: no interface\n");
	assert_int_equal(check("rw9", ""), -ENODEV);
	assert_string_equal(error, "cannot read what rw9 can do with XDP: No such device");
	netns_close(&netns);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(redirection_is_checked) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
