// Package tools is a module of its own for what `make dist` runs: nfpm builds
// the packages, sbom says what is in a binary. Nothing of it is in the program.
package tools
