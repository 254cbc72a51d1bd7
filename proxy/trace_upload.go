package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"gemini-resilient-proxy/routing"
)

const (
	// uploadTime is how long a collector may take for a batch.
	uploadTime = 10 * time.Second
	// uploadTries is how often a batch is sent at most.
	uploadTries = 4
	// maxUploadAnswer bounds what is read of a collector's answer.
	maxUploadAnswer = 64 << 10
)

// uploader speaks OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
// OpenTelemetry's own client for that would bring gRPC and its gateway into the
// program, half as much again as all the rest of it. One goroutine uses it.
type uploader struct {
	url     string
	headers [][2]string
	client  *http.Client

	rejected int           // spans that the collector did not take of the last batch
	status   int           // of its answer, 0 when there was none
	told     time.Duration // after which it wants to be asked again
}

func newUploader(target string, headers [][2]string) *uploader {
	return &uploader{url: target, headers: headers, client: &http.Client{
		Timeout: uploadTime,
		// The headers may hold a secret that is for this collector only.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		},
	}}
}

// Start and Stop are called by the exporter that turns spans into messages.
func (u *uploader) Start(context.Context) error { return nil }

// Stop does nothing.
func (u *uploader) Stop(context.Context) error { return nil }

// UploadTraces sends spans once.
func (u *uploader) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	u.status, u.told = 0, 0
	// On the wire this message is an ExportTraceServiceRequest, whose package
	// comes with gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return errors.New("the spans cannot be encoded")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL of the collector cannot be used")
	}
	req.Header.Set("User-Agent", "gemini-resilient-proxy")
	for _, h := range u.headers {
		req.Header.Set(h[0], h[1])
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := u.client.Do(req)
	if err != nil {
		// The error that is in a url.Error does not name the URL.
		var named *url.Error
		if errors.As(err, &named) {
			err = named.Err
		}
		return err
	}
	defer resp.Body.Close()
	u.status = resp.StatusCode
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxUploadAnswer))
	if u.status/100 != 2 {
		u.told, _ = routing.ParseRetryAfter([]byte(resp.Header.Get("Retry-After")), time.Now())
		return fmt.Errorf("the collector answers with status %d", u.status)
	}
	if err == nil {
		u.rejected = rejectedSpans(answer)
	}
	return nil
}

// again tells whether a batch that failed the n-th time, from 0 on, is worth
// sending again, and after what time. OTLP names the statuses.
func (u *uploader) again(n int) (wait time.Duration, ok bool) {
	switch u.status {
	case 0, 429, 502, 503, 504:
	default:
		return 0, false
	}
	wait = max(u.told, time.Second<<n)
	return wait, n+1 < uploadTries && wait <= uploadTime
}

// rejectedSpans reads an ExportTraceServiceResponse: partial_success is its
// field 1, and rejected_spans field 1 of that. What cannot be read rejects
// nothing.
func rejectedSpans(b []byte) int {
	partial := protoField(b, protowire.BytesType)
	if partial == nil {
		return 0
	}
	message, n := protowire.ConsumeBytes(partial)
	if n < 0 {
		return 0
	}
	count := protoField(message, protowire.VarintType)
	rejected, n := protowire.ConsumeVarint(count)
	if n < 0 || rejected > maxSpans {
		return 0
	}
	return int(rejected)
}

// protoField returns what begins with the value of the message's field 1, if it
// has that type, nil if there is none.
func protoField(b []byte, want protowire.Type) []byte {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil
		}
		b = b[n:]
		if number == 1 && kind == want {
			return b
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return nil
		}
		b = b[n:]
	}
	return nil
}
