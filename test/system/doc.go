// Package system tests the installed daemon on a booted Debian 12: "make system".
//
// The tests are behind the build tag "system", because they need root. The program of the
// tests runs twice. The first process builds the machine's file system with debootstrap, and
// starts the second in namespaces of its own: the kernel ends all its processes, the machine
// too, when the second process ends for whatever reason, and removes its mounts and networks.
//
// The second process boots the machine with systemd-nspawn. The other end of the machine's
// only network interface is in the namespace of the tests: they are the outside, and no
// packet leaves the host.
//
//	bin/system/root       a Debian with the packages that the tests need, which no test changes
//	bin/system/run        what the tests change of it (an overlay), begun anew by each run
//
// All tests share one machine. A test begins with begin, which stops the daemon of the test
// before and removes its table, policy and state. Only a test that is about a boot reboots.
package system
