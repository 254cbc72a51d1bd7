package proxy

// defaultConns is the number of upstream connections where the system names
// no limit.
const defaultConns = 10000
