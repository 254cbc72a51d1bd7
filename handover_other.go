//go:build !linux

package main

// start starts the process.
func (n *successor) start() error { return n.cmd.Start() }

// awaitExit returns when the process has ended.
func (n *successor) awaitExit() error {
	n.cmd.Wait()
	return nil
}
