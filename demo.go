package main
import "io"
func runDemo(stdout, stderr io.Writer) int { return 0 }
