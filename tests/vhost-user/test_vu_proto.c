/* SPDX-License-Identifier: Apache-2.0 */
/* The table of messages: complete, unambiguous, and enforced for every size and number of fds. */
#include "tests/lib/test.h"

#include "vhost-user/wire/vu_msg.h"

typedef const struct vu_shape *(*shape_of)(uint32_t request);

static const struct message_table {
	shape_of of;
	uint32_t end;
} tables[] = { { vu_shape, VU_REQUEST_END }, { vu_backend_shape, VU_BACKEND_REQUEST_END } };

/* Visits every row of both tables. */
static void for_each_shape(void (*visit)(uint32_t request, const struct vu_shape *s))
{
	for (unsigned t = 0; t < G_N_ELEMENTS(tables); t++) {
		for (uint32_t request = 1; request < tables[t].end; request++)
			visit(request, tables[t].of(request));
	}
}

/* Never more than one of these is needed, and it is large. fds here are only counted. */
static struct vu_msg msg;

/* Fills in a message of such a size that is right wherever a size can be right. */
static void fill(uint32_t request, const struct vu_shape *s, uint32_t size, unsigned n_fds)
{
	vu_msg_init(&msg, request);
	memset(&msg.payload, 0, size);
	msg.header.size = size;
	msg.n_fds = n_fds;
	if (s->body == VU_BODY_CONFIG && size >= sizeof(msg.payload.config))
		msg.payload.config.size = size - sizeof(msg.payload.config);
	if (s->body == VU_BODY_TABLE && size >= sizeof(msg.payload.table)) {
		msg.payload.table.n_regions = (size - 8) / ((size - 8) % 32 ? 40 : 32);
		msg.n_fds = msg.payload.table.n_regions;
	}
	if (s->ring == VU_RING_FD && n_fds == 0)
		msg.payload.u64 = VU_VRING_FD_NONE;
}

static bool is_refused(const struct vu_shape *s)
{
	g_autoptr(GError) error = NULL;
	bool ok = vu_msg_check(&msg, s, &error);

	assert_int_equal(ok, error == NULL);
	if (ok)
		return false;
	assert_true(g_error_matches(error, VU_MSG_ERROR, VU_MSG_ERROR_SHAPE));
	assert_true(g_str_has_prefix(error->message, s->name));
	return true;
}

static void has_name(uint32_t request, const struct vu_shape *s)
{
	assert_non_null(s);
	assert_true(strlen(s->name) > 3);
	assert_true(s->min_size <= s->max_size && s->max_size <= VU_MAX_PAYLOAD);
	assert_true(s->min_fds <= s->max_fds && s->max_fds <= SOCK_MAX_FDS);
	assert_true(s->reply_min <= s->reply_max);
	assert_int_equal(s->reply_max > 0, s->reply == VU_REPLY_ALWAYS);
}

static void test_complete(void **state)
{
	for_each_shape(has_name);
	for (unsigned t = 0; t < G_N_ELEMENTS(tables); t++) {
		for (uint32_t i = 1; i < tables[t].end; i++) {
			for (uint32_t j = 1; j < i; j++)
				assert_string_not_equal(
					tables[t].of(i)->name, tables[t].of(j)->name);
		}
		assert_null(tables[t].of(0));
		assert_null(tables[t].of(tables[t].end));
		assert_null(tables[t].of(UINT32_MAX));
	}
	assert_int_equal(VU_REQUEST_END, 46);
	assert_int_equal(VU_BACKEND_REQUEST_END, 11);
}

/* Tells payload sizes by which the two kinds of region cannot be told apart from the size alone. */
static bool is_size_of_body(const struct vu_shape *s, uint32_t size)
{
	switch (s->body) {
	case VU_BODY_PLAIN:
	case VU_BODY_CONFIG:
		return true;
	case VU_BODY_TABLE:
		return (size - 8) % 32 == 0 || (size - 8) % 40 == 0;
	case VU_BODY_REGION:
		return size == 40 || size == 48;
	case VU_BODY_INFLIGHT:
		return size == 20 || size == 24 || size == s->min_size;
	}
	return false;
}

static void sizes_enforced(uint32_t request, const struct vu_shape *s)
{
	const int64_t sizes[] = { 0, 4096, s->min_size - 1, s->min_size, s->min_size + 1,
		s->max_size - 1, s->max_size, s->max_size + 1 };

	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		int64_t size = sizes[i];
		bool good = size >= s->min_size && size <= s->max_size;

		if (size < 0 || (size_t)size > VU_MAX_PAYLOAD)
			continue;
		good = good && is_size_of_body(s, size);
		fill(request, s, size, s->min_fds);
		assert_int_equal(is_refused(s), !good);
	}
}

static void test_sizes(void **state)
{
	for_each_shape(sizes_enforced);
}

static void fds_enforced(uint32_t request, const struct vu_shape *s)
{
	for (unsigned n = 0; n <= s->max_fds + 1u; n++) {
		fill(request, s, s->min_size, n);
		msg.n_fds = n;
		if (s->body == VU_BODY_TABLE)
			assert_int_equal(is_refused(s), n != 0);
		else
			assert_int_equal(is_refused(s), n < s->min_fds || n > s->max_fds);
	}
	fill(request, s, s->min_size, s->min_fds);
	assert_false(is_refused(s));
	msg.truncated = true;
	assert_true(is_refused(s));
}

static void test_fds(void **state)
{
	for_each_shape(fds_enforced);
}

static void test_vring_fd_says_whether_there_is_one(void **state)
{
	const uint32_t requests[] = { VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR };

	for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++) {
		const struct vu_shape *s = vu_shape(requests[i]);

		vu_msg_init(&msg, requests[i]);
		vu_msg_set_u64(&msg, 255);
		assert_true(is_refused(s));
		msg.n_fds = 1;
		assert_false(is_refused(s));
		assert_int_equal(vu_msg_ring_index(&msg, s), 255);
		vu_msg_set_u64(&msg, 7 | VU_VRING_FD_NONE);
		assert_true(is_refused(s));
		msg.n_fds = 0;
		assert_false(is_refused(s));
		assert_int_equal(vu_msg_ring_index(&msg, s), 7);
	}
	vu_msg_init(&msg, VU_SET_VRING_NUM);
	msg.payload.state = (struct vu_vring_state){ .index = UINT32_MAX, .num = 8 };
	assert_int_equal(vu_msg_ring_index(&msg, vu_shape(VU_SET_VRING_NUM)), UINT32_MAX);
}

static void test_config_says_its_size(void **state)
{
	const struct vu_shape *s = vu_shape(VU_SET_CONFIG);
	const uint32_t wrong[] = { 0, 59, 61, 72, UINT32_MAX };

	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
		fill(VU_SET_CONFIG, s, 72, 0);
		assert_false(is_refused(s));
		msg.payload.config.size = wrong[i];
		assert_true(is_refused(s));
	}
}

static void test_table_counts_do_not_lie(void **state)
{
	const struct vu_shape *s = vu_shape(VU_SET_MEM_TABLE);
	const uint32_t wrong[] = { 0, 1, 3, 254, 0x8000002, UINT32_MAX };

	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
		fill(VU_SET_MEM_TABLE, s, 8 + 2 * 32, 0);
		assert_false(is_refused(s));
		msg.payload.table.n_regions = wrong[i];
		assert_true(is_refused(s));
	}
	/* 160 bytes are five regions, or four of Xen's; the count tells. */
	fill(VU_SET_MEM_TABLE, s, 8 + 160, 0);
	msg.payload.table.n_regions = msg.n_fds = 4;
	assert_false(is_refused(s));
	msg.payload.table.n_regions = msg.n_fds = 5;
	assert_false(is_refused(s));
}

static void test_regions(void **state)
{
	struct mem_region_desc desc[VU_MAX_REGIONS];
	const struct vu_region plain[2] = { { 1, 2, 3, 4 }, { 5, 6, 7, 8 } };
	const struct vu_region_xen xen[2] = { { 1, 2, 3, 4, 5, 6 }, { 7, 8, 9, 10, 11, 12 } };

	fill(VU_SET_MEM_TABLE, vu_shape(VU_SET_MEM_TABLE), 8 + sizeof(plain), 0);
	memcpy(msg.payload.bytes + 8, plain, sizeof(plain));
	assert_int_equal(vu_msg_regions(&msg, desc), 2);
	assert_int_equal(desc[1].guest_addr, 5);
	assert_int_equal(desc[1].size, 6);
	assert_int_equal(desc[1].user_addr, 7);
	assert_int_equal(desc[1].mmap_offset, 8);
	assert_int_equal(desc[1].xen_flags, 0);

	fill(VU_SET_MEM_TABLE, vu_shape(VU_SET_MEM_TABLE), 8 + sizeof(xen), 0);
	msg.payload.table.n_regions = 2;
	memcpy(msg.payload.bytes + 8, xen, sizeof(xen));
	assert_int_equal(vu_msg_regions(&msg, desc), 2);
	assert_int_equal(desc[0].xen_domid, 6);
	assert_int_equal(desc[1].guest_addr, 7);
	assert_int_equal(desc[1].xen_flags, 11);

	fill(VU_ADD_MEM_REG, vu_shape(VU_ADD_MEM_REG), 8 + 40, 1);
	memcpy(msg.payload.bytes + 8, &xen[1], 40);
	assert_int_equal(vu_msg_regions(&msg, desc), 1);
	assert_int_equal(desc[0].mmap_offset, 10);
	assert_int_equal(desc[0].xen_domid, 12);

	fill(VU_REM_MEM_REG, vu_shape(VU_REM_MEM_REG), 8 + 32, 0);
	memcpy(msg.payload.bytes + 8, &plain[1], 32);
	assert_int_equal(vu_msg_regions(&msg, desc), 1);
	assert_int_equal(desc[0].size, 6);
	assert_int_equal(desc[0].xen_domid, 0);

	fill(VU_SET_MEM_TABLE, vu_shape(VU_SET_MEM_TABLE), 8, 0);
	assert_int_equal(vu_msg_regions(&msg, desc), 0);
}

static void test_probe_by_shape(void **state)
{
	const uint64_t probe = VU_BIT(VU_F_PROBE), device_state = VU_BIT(VU_F_DEVICE_STATE);
	const uint64_t acked[] = { 0, probe, device_state, probe | device_state };

	for (unsigned i = 0; i < G_N_ELEMENTS(acked); i++) {
		/* Acked bits do not matter where the shape decides. */
		assert_string_equal(vu_probe_shape(VU_GET_DEVICE_ID, 0, 0, acked[i], true)->name,
			"GET_DEVICE_ID");
		assert_string_equal(vu_probe_shape(VU_GET_CONFIG_SIZE, 0, 0, acked[i], true)->name,
			"GET_CONFIG_SIZE");
		assert_null(vu_probe_shape(VU_GET_SHARED_OBJECT, 16, 0, acked[i], false));
		assert_null(vu_probe_shape(VU_SET_DEVICE_STATE_FD, 8, 1, acked[i], false));
		assert_null(vu_probe_shape(VU_GET_CONFIG_SIZE, 0, 1, acked[i], false));
		assert_null(vu_probe_shape(VU_GET_MIN_VQ, 8, 0, acked[i], false));
		assert_null(vu_probe_shape(VU_GET_STATUS, 0, 0, acked[i], false));
		assert_null(vu_probe_shape(VU_GET_SHMEM_CONFIG, 0, 0, acked[i], false));
	}
	assert_string_equal(vu_probe_shape(VU_GET_MIN_VQ, 0, 0, 0, true)->name, "GET_MIN_VQ");
	assert_non_null(vu_probe_shape(VU_GET_MIN_VQ, 0, 0, probe, true));
	assert_null(vu_probe_shape(VU_CHECK_DEVICE_STATE, 0, 0, device_state, false));
	assert_non_null(vu_probe_shape(VU_GET_MIN_VQ, 0, 0, probe | device_state, false));
	assert_null(vu_probe_shape(VU_CHECK_DEVICE_STATE, 0, 0, probe | device_state, true));
	assert_int_equal(vu_probe_shape(VU_GET_MIN_VQ, 0, 0, probe, false)->reply_min, 4);
	assert_int_equal(vu_probe_shape(VU_GET_MIN_VQ, 0, 0, probe, false)->reply_max, 4);
}

static void test_feature_names(void **state)
{
	assert_string_equal(vu_protocol_feature_name(VU_F_MQ), "MQ");
	assert_string_equal(vu_protocol_feature_name(VU_F_STATUS), "STATUS");
	assert_string_equal(vu_protocol_feature_name(VU_F_PROBE), "PROBE/SHARED_OBJECT");
	for (unsigned bit = 0; bit < 64; bit++)
		assert_int_equal(vu_protocol_feature_name(bit) != NULL, bit < 24);
	assert_null(vu_protocol_feature_name(UINT_MAX));
}

/* From the specification's table, independently of ours: number, size, fds, size of the reply. */
struct known_row {
	uint32_t request;
	unsigned min_size, max_size, min_fds, max_fds, reply;
	int needs; /* a protocol feature, or -1 */
};

static void check_rows(shape_of of, const struct known_row *rows, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct vu_shape *s = of(rows[i].request);

		assert_int_equal(s->min_size, rows[i].min_size);
		assert_int_equal(s->max_size, rows[i].max_size);
		assert_int_equal(s->min_fds, rows[i].min_fds);
		assert_int_equal(s->max_fds, rows[i].max_fds);
		assert_int_equal(s->reply_max, rows[i].reply);
		assert_int_equal(s->needs_feature_plus1 - 1, rows[i].needs);
	}
}

static void test_known_rows(void **state)
{
	static const struct known_row rows[] = { { 1, 0, 0, 0, 0, 8, -1 }, { 2, 8, 8, 0, 0, 0, -1 },
		{ 3, 0, 0, 0, 0, 0, -1 }, { 5, 8, 10128, 0, 253, 0, -1 }, { 8, 8, 8, 0, 0, 0, -1 },
		{ 9, 40, 40, 0, 0, 0, -1 }, { 10, 8, 8, 0, 0, 0, -1 }, { 11, 8, 8, 0, 0, 8, -1 },
		{ 12, 8, 8, 0, 1, 0, -1 }, { 15, 0, 0, 0, 0, 8, -1 }, { 16, 8, 8, 0, 0, 0, -1 },
		{ 17, 0, 0, 0, 0, 8, 0 }, { 18, 8, 8, 0, 0, 0, -1 }, { 19, 8, 8, 0, 0, 0, 2 },
		{ 20, 8, 8, 0, 0, 0, 4 }, { 21, 0, 0, 1, 1, 0, 5 }, { 24, 12, 4108, 0, 0, 4108, 9 },
		{ 25, 12, 4108, 0, 0, 0, 9 }, { 26, 16, 10128, 0, 0, 10128, 7 },
		{ 27, 8, 8, 0, 0, 0, 7 }, { 31, 0, 24, 0, 0, 24, 12 }, { 32, 20, 24, 1, 1, 0, 12 },
		{ 33, 0, 0, 1, 1, 0, -1 }, { 34, 0, 0, 0, 0, 0, 13 }, { 36, 0, 0, 0, 0, 8, 15 },
		{ 37, 40, 48, 1, 1, 0, 15 }, { 38, 40, 48, 0, 1, 0, 15 }, { 39, 8, 8, 0, 0, 0, 16 },
		{ 40, 0, 0, 0, 0, 8, 16 }, { 41, 16, 16, 0, 0, 16, 18 }, { 42, 8, 8, 1, 1, 8, 19 },
		{ 43, 0, 0, 0, 0, 8, 19 }, { 44, 0, 0, 0, 0, 2056, 22 },
		{ 45, 8, 8, 0, 0, 8, 23 } };
	static const struct known_row backend_rows[] = { { 2, 0, 0, 0, 0, 0, 9 },
		{ 3, 24, 24, 0, 1, 0, 11 }, { 6, 16, 16, 0, 0, 0, 18 }, { 7, 16, 16, 0, 0, 0, 18 },
		{ 8, 16, 16, 0, 0, 8, 18 }, { 9, 40, 40, 1, 1, 0, 22 },
		{ 10, 40, 40, 0, 0, 0, 22 } };

	check_rows(vu_shape, rows, G_N_ELEMENTS(rows));
	check_rows(vu_backend_shape, backend_rows, G_N_ELEMENTS(backend_rows));
}

/* Byte for byte, as the specification draws them. */
static void test_layouts(void **state)
{
	const struct vu_shmem_map map = {
		.id = 1, .fd_offset = 2, .shm_offset = 3, .len = 4, .flags = VU_SHMEM_WRITABLE
	};
	const uint64_t map_words[] = { 1, 2, 3, 4, 1 };
	const struct vu_device_state transfer = { .direction = VU_DEVICE_STATE_LOAD, .phase = 7 };
	const uint32_t transfer_words[] = { 1, 7 };

	assert_memory_equal(&map, map_words, sizeof(map_words));
	assert_memory_equal(&transfer, transfer_words, sizeof(transfer_words));
	assert_int_equal(offsetof(struct vu_shmem_config, size), 8);
	assert_int_equal(offsetof(struct vu_shmem_config, size[255]), 2048);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_known_rows),
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_fds),
		cmocka_unit_test(test_vring_fd_says_whether_there_is_one),
		cmocka_unit_test(test_config_says_its_size),
		cmocka_unit_test(test_table_counts_do_not_lie),
		cmocka_unit_test(test_regions),
		cmocka_unit_test(test_probe_by_shape),
		cmocka_unit_test(test_feature_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
