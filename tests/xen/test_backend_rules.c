/* SPDX-License-Identifier: Apache-2.0 */
/* Which back-end a device gets, what hostile strings can do to it, and mistakes in rule files. */
#include "tests/lib/test.h"

#include "xen/supervisor/backend_rules.h"

#define UID_BASE 1000000
#define BINARY "/bin/true" /* discovery finds only what is there */

struct backend_rules_test {
	struct test test;
	const char *config, *defaults, *run;
	char *sock, *json;
	struct device_node node;
};

static void write_file(const char *path, const char *text)
{
	assert_true(g_file_set_contents(path, text, -1, NULL));
}

static int setup(void **state)
{
	struct backend_rules_test *w = g_new0(struct backend_rules_test, 1);
	g_autofree char *folder = NULL, *domain = NULL;

	test_begin(&w->test);
	w->config = test_path(&w->test, "config");
	w->defaults = test_path(&w->test, "defaults");
	w->run = test_path(&w->test, "run");
	w->sock = g_build_filename(w->run, "web", "5.sock", NULL);
	domain = g_path_get_dirname(w->sock);
	g_mkdir_with_parents(domain, 0700);
	/* Where discovery looks first; main() has told GLib so. */
	folder = g_build_filename(g_get_user_config_dir(), "qemu", "vhost-user", NULL);
	g_mkdir_with_parents(folder, 0700);
	w->json = g_build_filename(folder, "50-test.json", NULL);
	write_file(w->json, "{\"type\": \"block\", \"binary\": \"" BINARY "\"}");
	w->node = (struct device_node){ .kind = (char *)"virtio_disk",
		.path = (char *)"x",
		.domain = (char *)"web",
		.domid = 3,
		.devid = 5,
		.params = (char *)"/srv/a.img" };
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct backend_rules_test *w = *state;

	g_unlink(w->json);
	test_end(&w->test);
	g_free(w->sock);
	g_free(w->json);
	g_free(w);
	return 0;
}

static struct backend_rule *find(struct backend_rules_test *w, GError **error)
{
	g_autoptr(backend_rules) r =
		backend_rules_read(w->config, w->defaults, w->run, UID_BASE, error);

	return r ? backend_rules_find(r, &w->node, error) : NULL;
}

/* Expects the socket, program or first option that a config gives. */
static void assert_socket(struct backend_rules_test *w, const char *config, const char *socket)
{
	g_autoptr(backend_rule) r = NULL;

	write_file(w->config, config);
	r = find(w, NULL);
	if (!socket) {
		assert_null(r);
		return;
	}
	assert_non_null(r);
	assert_string_equal(r->socket, socket);
	assert_null(r->program);
}

static void test_socket(void **state)
{
	struct backend_rules_test *w = *state;
	g_autoptr(backend_rules) just_one = backend_rules_new_socket("/tmp/%n/100%.sock");
	g_autoptr(backend_rule) r = backend_rules_find(just_one, &w->node, NULL);

	assert_non_null(r);
	assert_string_equal(r->socket, "/tmp/%n/100%.sock");
	assert_int_equal(r->front.config_size, -1);
	assert_int_equal(r->front.device_id, 0);
	assert_int_equal(r->queue_size, 0);
	assert_int_equal(r->wait_ms, 0);
}

static void test_order(void **state)
{
	struct backend_rules_test *w = *state;
	g_autoptr(GError) error = NULL;
	g_autoptr(backend_rule) last = NULL, middle = NULL, first = NULL;

	assert_null(find(w, &error)); /* no file at all */
	assert_non_null(strstr(error->message, w->config));
	assert_non_null(strstr(error->message, w->defaults));
	assert_non_null(strstr(error->message, w->sock));
	write_file(w->defaults, "[a]\nsocket=/defaults\n");
	last = find(w, NULL);
	assert_string_equal(last->socket, "/defaults");
	write_file(w->sock, "");
	middle = find(w, NULL);
	assert_string_equal(middle->socket, w->sock);
	assert_string_equal(middle->where, w->run);
	assert_int_equal(middle->front.config_size, -1);
	write_file(w->config, "[a b]\nsocket=/config\n[c]\nsocket=/second\n");
	first = find(w, NULL);
	assert_string_equal(first->socket, "/config");
	assert_non_null(strstr(first->where, w->config));
	assert_non_null(strstr(first->where, "[a b]"));
}

static void test_matches(void **state)
{
	struct backend_rules_test *w = *state;

	assert_socket(w, "[a]\nsocket=/s\ndomain=w*\n", "/s");
	assert_socket(w, "[a]\nsocket=/s\ndomain=w\n", NULL);
	assert_socket(w, "[a]\nsocket=/s\ndevid=5\n", "/s");
	assert_socket(w, "[a]\nsocket=/s\ndevid=0\n", NULL);
	assert_socket(w, "[a]\nsocket=/s\nnode=virtio_disk\n", "/s");
	assert_socket(w, "[a]\nsocket=/s\nnode=virtio\n", NULL);
	assert_socket(w, "[a]\nsocket=/s\nmode=w\n", "/s");
	assert_socket(w, "[a]\nsocket=/s\nmode=r\n", NULL);
	assert_socket(w, "[a]\nsocket=/s\ntype=26\n", NULL);
	w->node.device_id = 26;
	w->node.read_only = true;
	assert_socket(w, "[a]\nsocket=/s\ntype=26\n", "/s");
	assert_socket(w, "[a]\nsocket=/s\nmode=r\n", "/s");
	assert_socket(w, "[a]\nsocket=/s\nmode=w\n", NULL);
	assert_socket(w, "[a]\nsocket=/s\ndomain=web\ndevid=4\n[b]\nsocket=/t\n", "/t");
}

static void test_placeholders(void **state)
{
	struct backend_rules_test *w = *state;
	g_autofree char *in_run = g_strdup_printf("/%s", w->run);

	assert_socket(w, "[a]\nsocket=/run/%n/%d-%i%%.sock\n", "/run/web/3-5%.sock");
	assert_socket(w, "[a]\nsocket=%p\n", NULL); /* not absolute */
	assert_socket(w, "[a]\nsocket=/x%p\n", "/x/srv/a.img");
	w->node.params = NULL;
	assert_socket(w, "[a]\nsocket=/x%p\n[b]\nsocket=/none\n", "/none");
	/* %%p needs no params. */
	assert_socket(w, "[a]\nsocket=/x%%p\n", "/x%p");
	assert_socket(w, "[a]\nsocket=/%u\n", "/1000003");
	assert_socket(w, "[\xfc]\nsocket=/d\xfcsk\\s\n", "/d\xfcsk ");
	assert_socket(w, "[a]\nsocket=/%r\n", in_run);
}

static void test_program(void **state)
{
	struct backend_rules_test *w = *state;
	g_autoptr(GError) error = NULL;
	g_autoptr(backend_rule) by_type = NULL, by_path = NULL, none = NULL;

	write_file(w->config, "[a]\nprogram=block\noptions=--file=%p;--b\n");
	by_type = find(w, NULL);
	assert_null(by_type->socket);
	assert_string_equal(by_type->program, BINARY);
	assert_string_equal(by_type->options[0], "--file=/srv/a.img");
	assert_string_equal(by_type->options[1], "--b");
	assert_null(by_type->options[2]);

	write_file(w->config, "[a]\nprogram=/bin/x%n\n");
	by_path = find(w, NULL);
	assert_string_equal(by_path->program, "/bin/x%n");
	assert_null(by_path->options[0]);

	write_file(w->config, "[a]\nprogram=no-such-type\n");
	none = find(w, &error);
	assert_null(none);
	assert_non_null(strstr(error->message, "no-such-type"));
	assert_non_null(strstr(error->message, "[a]"));
}

/* Whatever the toolstack wrote stays within its argument, as it is. */
static void test_hostile(void **state)
{
	static const char *const values[] = { ";--socket-path=/x", "%p%n%%", "%", "--b", "\\;",
		"a b\"'$(x)`", ";;", " " };
	struct backend_rules_test *w = *state;

	write_file(w->config, "[a]\nprogram=/bin/x\noptions=--file=%p;--name=%n;--end\n");
	for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
		g_autofree char *file = g_strdup_printf("--file=%s", values[i]);
		g_autofree char *name = g_strdup_printf("--name=%s", values[i]);
		g_autoptr(backend_rule) r = NULL;

		w->node.params = w->node.domain = (char *)values[i];
		r = find(w, NULL);
		assert_int_equal(g_strv_length(r->options), 3);
		assert_string_equal(r->options[0], file);
		assert_string_equal(r->options[1], name);
		assert_string_equal(r->options[2], "--end");
	}
}

/* Also what two groups of the same name say: to a key file they are one. */
static void test_options_given_twice(void **state)
{
	struct backend_rules_test *w = *state;
	g_autoptr(backend_rule) r = NULL, merged = NULL;

	write_file(w->config,
		"[a]\nprogram=/bin/y\noptions=--a;--b\nprogram=/bin/x\noptions=--c\n"
		"device-id=5\nfallback-type=7\n");
	r = find(w, NULL);
	assert_string_equal(r->program, "/bin/x");
	assert_string_equal(r->options[0], "--c");
	assert_null(r->options[1]);
	assert_int_equal(r->front.device_id, 7);
	assert_true(test_logged("[a]: options= is given twice: the last one counts"));
	assert_true(test_logged("[a]: device-id= is given twice"));
	write_file(w->config, "[a]\nsocket=/s\n[b]\nsocket=/t\n[a]\nsocket=/u\n");
	merged = find(w, NULL);
	assert_string_equal(merged->socket, "/u");
	assert_true(test_logged("[a]: socket= is given twice"));
}

static void test_properties(void **state)
{
	struct backend_rules_test *w = *state;
	g_autoptr(backend_rule) said = NULL, not_said = NULL;

	write_file(w->config,
		"[a]\nsocket=/s\nprobe=off\npacked=on\ndevice-id=26\nconfig-size=0\nqueues=2\n"
		"queue-size=128\nwait=20\n");
	said = find(w, NULL);
	assert_int_equal(said->front.probe, VU_PROBE_OFF);
	assert_int_equal(said->front.packed, CHOICE_ON);
	assert_int_equal(said->front.device_id, 26);
	assert_int_equal(said->front.config_size, 0);
	assert_int_equal(said->front.queues, 2);
	assert_int_equal(said->queue_size, 128);
	assert_int_equal(said->wait_ms, 20000);
	write_file(w->config, "[a]\nsocket=/s\n");
	not_said = find(w, NULL);
	assert_int_equal(not_said->front.probe, VU_PROBE_AUTO);
	assert_int_equal(not_said->front.packed, CHOICE_AUTO);
	assert_int_equal(not_said->front.device_id, 0);
	assert_int_equal(not_said->front.config_size, -1);
	assert_int_equal(not_said->front.queues, 0);
	assert_int_equal(not_said->queue_size, 0);
	assert_int_equal(not_said->wait_ms, 0);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *text, *said;
	} bad[] = {
		{ "socket=/s\n", NULL }, /* no group */
		{ "[a]\n", "needs socket= or program=" },
		{ "[a]\nsocket=/s\nprogram=x\n", "not both" },
		{ "[a]\nsocket=/s\noptions=--a\n", "options=" },
		{ "[a]\nsocket=/s\ncolour=red\n", "colour=red" },
		{ "[a]\nsocket=\n", "socket=" },
		{ "[a]\nsocket=s\n", "absolute" },
		{ "[a]\nsocket=/%x\n", "percent" },
		{ "[a]\nsocket=/%\n", "percent" },
		{ "[a]\nsocket=/%%%\n", "percent" },
		{ "[a]\nprogram=\n", "program=" },
		{ "[a]\nprogram=x\noptions=--a;b\n", "dash" },
		{ "[a]\nprogram=x\noptions=%p\n", "dash" },
		{ "[a]\nprogram=x\noptions=--a;;--b\n", "dash" },
		{ "[a]\nprogram=x\noptions=--%q\n", "percent" },
		{ "[a]\nprogram=x\noptions=--\\q\n", "after each backslash" },
		{ "[a]\nsocket=/a\\\n", "after each backslash" },
		{ "[a]\nsocket=/a\\;\n", "after each backslash" },
		{ "[a]\nsocket=/s\ndomain=\n", "domain=" },
		{ "[a]\nsocket=/s\ndevid=-1\n", "devid=-1" },
		{ "[a]\nsocket=/s\ndevid=x\n", "devid=x" },
		{ "[a]\nsocket=/s\ntype=0\n", "type=0" },
		{ "[a]\nsocket=/s\ntype=1a\n", "type=1a" },
		{ "[a]\nsocket=/s\nnode=vbd\n", "node=vbd" },
		{ "[a]\nsocket=/s\nmode=rw\n", "mode=rw" },
		{ "[a]\nsocket=/s\nprobe=on\n", "probe=on" },
		{ "[a]\nsocket=/s\npacked=force\n", "packed=force" },
		{ "[a]\nsocket=/s\ndevice-id=64\n", "device-id=64" },
		{ "[a]\nsocket=/s\nconfig-size=3841\n", "config-size=3841" },
		{ "[a]\nsocket=/s\nqueues=257\n", "queues=257" },
		{ "[a]\nsocket=/s\nqueue-size=24\n", "power of two" },
		{ "[a]\nsocket=/s\nwait=0\n", "invalid wait=0" },
		{ "[a]\nsocket=/s\nfallback-type=x\n", "fallback-type=x" },
	};
	struct backend_rules_test *w = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL, of_defaults = NULL;
		const char *said = bad[i].said ? bad[i].said : "";

		write_file(w->config, bad[i].text);
		assert_null(backend_rules_read(w->config, w->defaults, w->run, UID_BASE, &error));
		if (!strstr(error->message, w->config) || !strstr(error->message, said) ||
			(bad[i].said && !strstr(error->message, "[a]")))
			fail_msg("%s: %s", bad[i].text, error->message);
		/* The defaults are checked, too. */
		g_rename(w->config, w->defaults);
		assert_null(
			backend_rules_read(w->config, w->defaults, w->run, UID_BASE, &of_defaults));
		g_unlink(w->defaults);
	}
}

static void test_unreadable(void **state)
{
	struct backend_rules_test *w = *state;
	g_autoptr(GError) error = NULL;

	assert_null(backend_rules_read(w->test.dir, w->defaults, w->run, UID_BASE, &error));
	assert_non_null(strstr(error->message, w->test.dir));
}

/* What is installed: images find the program that serves them, to write or to read only. */
static void test_installed(void **state)
{
	struct backend_rules_test *w = *state;
	g_autoptr(backend_rules) r =
		backend_rules_read(w->config, INSTALLED, w->run, UID_BASE, NULL);
	g_autoptr(backend_rules) as_root =
		backend_rules_read(w->config, INSTALLED, w->run, 0, NULL);
	g_autoptr(backend_rule) to_write = NULL, to_read = NULL, to_share = NULL, other = NULL;
	g_autofree char *root = g_strdup_printf("--chroot=%s/empty", w->run);

	assert_non_null(r);
	to_write = backend_rules_find(r, &w->node, NULL);
	assert_string_equal(to_write->program, BINARY);
	/* Two guests' programs have nothing of each other. */
	assert_true(g_strv_contains(
		(const char *const *)to_write->options, "--run-as=1000003:1000003"));
	assert_true(g_strv_contains((const char *const *)to_write->options, root));
	to_share = backend_rules_find(as_root, &w->node, NULL);
	assert_true(
		g_strv_contains((const char *const *)to_share->options, "--run-as=65534:65534"));
	assert_true(
		g_strv_contains((const char *const *)to_write->options, "--blk-file=/srv/a.img"));
	assert_true(g_strv_contains((const char *const *)to_write->options, "--format=raw"));
	assert_false(g_strv_contains((const char *const *)to_write->options, "--read-only"));
	w->node.read_only = true;
	to_read = backend_rules_find(r, &w->node, NULL);
	assert_true(
		g_strv_contains((const char *const *)to_read->options, "--blk-file=/srv/a.img"));
	assert_true(g_strv_contains((const char *const *)to_read->options, "--read-only"));
	w->node.kind = (char *)"virtio";
	other = backend_rules_find(r, &w->node, NULL);
	assert_null(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_order),
		TEST(test_socket),
		TEST(test_matches),
		TEST(test_placeholders),
		TEST(test_program),
		TEST(test_hostile),
		TEST(test_options_given_twice),
		TEST(test_properties),
		TEST(test_mistakes),
		TEST(test_unreadable),
		TEST(test_installed),
	};
	g_autofree char *home = g_dir_make_tmp("virtiod-home-XXXXXX", NULL);
	g_autofree char *qemu = g_build_filename(home, "qemu", NULL);
	g_autofree char *folder = g_build_filename(qemu, "vhost-user", NULL);
	int failed;

	/* Before GLib looks, which it does once. */
	g_setenv("XDG_CONFIG_HOME", home, TRUE);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	g_rmdir(folder);
	g_rmdir(qemu);
	g_rmdir(home);
	return failed;
}
