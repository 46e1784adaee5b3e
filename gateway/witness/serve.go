package witness

import (
	"fmt"
	"io"
	"net/http"
	"time"
)

// maxBody bounds a request: 63 hashes and a checkpoint with many signatures.
const maxBody = 64 << 10

// Handler serves the witness. Who asks need not say who they are: a checkpoint is signed.
//
//	POST /add-checkpoint          C2SP tlog-witness
//	GET  /checkpoint?origin=      the latest checkpoint that was cosigned of a log, as the log signed it
//	GET  /key                     the witness's verifier key
func (w *Witness) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", w.serveAdd)
	mux.HandleFunc("GET /checkpoint", func(out http.ResponseWriter, r *http.Request) {
		raw, ok := w.Latest(r.URL.Query().Get("origin"))
		if !ok {
			http.Error(out, "nothing was cosigned of this log", http.StatusNotFound)
			return
		}
		plain(out)
		out.Write(raw)
	})
	mux.HandleFunc("GET /key", func(out http.ResponseWriter, _ *http.Request) {
		plain(out)
		fmt.Fprintln(out, w.VerifierKey())
	})
	return mux
}

func plain(out http.ResponseWriter) {
	out.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out.Header().Set("Cache-Control", "no-store")
}

func (w *Witness) serveAdd(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(out, r.Body, maxBody))
	if err != nil {
		http.Error(out, "the request is too long, or did not arrive", http.StatusBadRequest)
		return
	}
	lines, size, result, err := w.add(body)
	switch result {
	case Cosigned:
		plain(out)
		out.Write(lines)
	case Behind:
		out.Header().Set("Content-Type", "text/x.tlog.size")
		out.WriteHeader(http.StatusConflict)
		fmt.Fprintf(out, "%d\n", size)
	default:
		http.Error(out, err.Error(), map[Result]int{
			Malformed: http.StatusBadRequest, Unknown: http.StatusNotFound, Unsigned: http.StatusForbidden,
			Forked: http.StatusConflict, Unproven: http.StatusUnprocessableEntity, Failed: http.StatusInternalServerError,
		}[result])
	}
}

// Server is an HTTP server of the witness, with bounds that strangers are held to.
func (w *Witness) Server() *http.Server {
	return &http.Server{
		Handler: w.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
}
