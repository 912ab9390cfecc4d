/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control plane's events: the only file that makes GSources. All callbacks run on the thread
 * that runs the default GMainContext. A callback may free its own watch.
 */
#pragma once

#include <stdint.h>

struct loop_watch;

/*
 * Calls cb while fd has one of events (EPOLLIN, EPOLLOUT; EPOLLERR and EPOLLHUP always). revents
 * has what was seen. The fd stays the caller's and must outlive the watch.
 */
struct loop_watch *loop_watch_fd(
	int fd, uint32_t events, void (*cb)(void *opaque, uint32_t revents), void *opaque);
/*
 * Calls cb after every delivery of the signal (SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2), which
 * may have been blocked and pending until now. Blocks it for good: once the watch is freed it does
 * not end a program that is ending. Threads made before must block it, too. NULL, with a warning,
 * if there is no file descriptor for it; NULL for a SIGHUP that the program was started to ignore,
 * as by nohup(1).
 */
struct loop_watch *loop_watch_signal(int signum, void (*cb)(void *opaque), void *opaque);
/* Calls cb every ms milliseconds. */
struct loop_watch *loop_watch_timer(unsigned ms, void (*cb)(void *opaque), void *opaque);
/*
 * Calls cb once, as soon as the loop is otherwise through this round; the watch is still to free.
 */
struct loop_watch *loop_watch_soon(void (*cb)(void *opaque), void *opaque);
/* Stops and frees; NULL is nothing. */
void loop_watch_free(struct loop_watch *watch);
