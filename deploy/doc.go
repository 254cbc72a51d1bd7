// Package deploy holds what an installation needs: the systemd unit and
// examples of its settings. It has no code; its tests keep the files true.
package deploy
