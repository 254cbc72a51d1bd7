package main

import (
	"errors"
	"net"
	"os"
)

// upgradeSignal is nil: there is no signal that could ask for a handover, nor a way
// to start a process with sockets.
var upgradeSignal os.Signal

func closeOnExec(int) {}

func duplicate(net.Listener) (*os.File, error) {
	return nil, errors.New("sockets cannot be handed over on Windows")
}
