//go:build unix

package main

import "syscall"

// Signals that stop a process for a while. Windows has none.
const stopSignal, goOnSignal = syscall.SIGSTOP, syscall.SIGCONT
