// Package kubernetes holds the manifests of a deployment and their schema
// check, in a module of its own: the program knows nothing of Kubernetes.
package kubernetes
