/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the program that is at both ends of a network. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>

#define PATIENCE_MS 60000
#define LIFETIME_S 3600
#define PORT_ECHO 7 /* of datagrams */
#define PORT_SERVE 5001

/*
 * transfer.c: TCP. Serves, in a process of its own that ends after a while or with its parent: each
 * connection sends, or gets, what it asks for; datagrams are echoed.
 */
void serve(uint16_t port, bool with_parent);
/* Sends so many MiB to a server, and gets as many; ends the program unless they arrive intact. */
void transfer(const char *address, uint16_t port, uint32_t mib);
/* The same, of ADDRESS PORT OWN-ADDRESS OWN-PORT MIB, by connections that the server makes. */
void be_called(char **argv);

/* space.c: becomes a program in a network of its own; with a tap, its files are an option more. */
noreturn void run_alone(char **argv);
noreturn void run_at_tap(char **argv);

/* ethtool.c: prints offloads and counters, a line "NAME VALUE" for each; sets the queues in use. */
void show_interface(const char *name);
void set_channels(const char *name, uint32_t n);
