package main

import (
	"fmt"
	"strings"
)

// threads is how many threads, workers or processors each proxy may use.
const threads = 2

// What every proxy is told: keep connections to the upstream, pass on at once
// what comes, check the upstream's certificate, log no requests if that can be
// turned off, and keep large requests out of files. The rest is as it comes.

// ourSettings are the environment of the proxy of this repository.
func ourSettings(p place) []string {
	env := []string{"LISTEN_ADDR=" + p.listen, "ADMIN_ADDR=", "UPSTREAM_URL_BASE=" + p.url(), "ACCESS_LOG=off"}
	if p.secure {
		env = append(env, "SSL_CERT_FILE="+p.ca)
	}
	return env
}

func nginxFiles(p place) map[string]string {
	upstreamTLS := ""
	if p.secure {
		upstreamTLS = fmt.Sprintf(`
      proxy_ssl_trusted_certificate %s;
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
      proxy_ssl_server_name on;`, p.ca)
	}
	scheme := "http"
	if p.secure {
		scheme = "https"
	}
	return map[string]string{"nginx.conf": fmt.Sprintf(`daemon off;
user root;
pid %[1]s/nginx.pid;
worker_processes %[2]d;
worker_rlimit_nofile %[3]d;
error_log stderr crit;
events { worker_connections %[3]d; }
http {
  access_log off;
  client_max_body_size 0;
  client_body_buffer_size 2m;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  keepalive_requests 1000000000;
  upstream api {
    server %[4]s;
    keepalive 1024;
    keepalive_requests 1000000000;
  }
  server {
    listen %[5]s reuseport;
    location / {
      proxy_pass %[6]s://api;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 1h;%[7]s
    }
  }
}
`, p.dir, threads, files(p.streams), p.upstream, p.listen, scheme, upstreamTLS)}
}

func haproxyFiles(p place) map[string]string {
	upstreamTLS := ""
	if p.secure {
		upstreamTLS = fmt.Sprintf(" ssl ca-file %s verify required sni str(localhost) verifyhost localhost", p.ca)
	}
	return map[string]string{"haproxy.cfg": fmt.Sprintf(`global
  nbthread %d
  maxconn %d
defaults
  mode http
  option http-no-delay
  http-reuse always
  timeout connect 10s
  timeout client 1h
  timeout server 1h
frontend front
  bind %s
  default_backend api
backend api
  server api %s%s
`, threads, p.streams+300, p.listen, p.upstream, upstreamTLS)}
}

func caddyFiles(p place) map[string]string {
	upstreamTLS := ""
	if p.secure {
		upstreamTLS = fmt.Sprintf("\n      tls_trusted_ca_certs %s\n      tls_server_name localhost", p.ca)
	}
	_, port, _ := strings.Cut(p.listen, ":")
	return map[string]string{"Caddyfile": fmt.Sprintf(`{
  admin off
  auto_https off
}
http://:%s {
  bind 127.0.0.1
  reverse_proxy %s {
    flush_interval -1
    transport http {
      compression off
      keepalive_idle_conns_per_host 1024%s
    }
  }
}
`, port, p.url(), upstreamTLS)}
}

// files is how many open files a process needs for so many streams.
func files(streams int) int { return 2*streams + 1000 }
