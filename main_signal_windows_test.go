package main

import "syscall"

// Sending these fails.
const stopSignal, goOnSignal = syscall.Signal(0), syscall.Signal(0)
