//go:build !unix

package proxy

func maxConns() int { return defaultConns }
