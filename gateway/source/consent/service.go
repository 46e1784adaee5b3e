package consent

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/httpclient"
)

const (
	// maxAnswer bounds an answer: a word for each person, and a reference.
	maxAnswer = 64 << 10
	// maxRef bounds the reference of an answer.
	maxRef = 128
	// maxGiven bounds the answers that are kept to be used again.
	maxGiven = 100_000
)

// request is what a service is asked.
type request struct {
	Agreement string   `json:"agreement"`
	Purpose   string   `json:"purpose"`
	Recipient string   `json:"recipient"`
	Subjects  []string `json:"subjects"`
}

// service asks consent services. It is safe for concurrent use.
type service struct {
	pool *httpclient.Pool
	now  func() time.Time

	mu sync.Mutex
	// given are answers that may be used again; guarded by mu.
	given map[given]answer
	swept time.Time // guarded by mu
}

type given struct{ service, agreement, purpose, recipient, subject string }

type answer struct {
	consented bool
	// asked is when, and until when the dataset let the answer be used again at that time.
	asked, until time.Time
}

// errAnswer: what the service says cannot be understood, so nobody is taken to have consented.
var errAnswer = errors.New("its answer is not {\"consents\": [true or false for each subject], \"ref\": \"…\"}")

// ask says who of the subjects consented. They are distinct, and at most maxPersons.
func (s *service) ask(ctx context.Context, q source.Query, subjects []string) (map[string]bool, error) {
	svc := q.Dataset.Consent.Service
	maxAge := time.Duration(svc.MaxAgeSeconds) * time.Second
	key := func(subject string) given {
		return given{svc.Name + " " + svc.URL, q.Agreement, q.Consent.Purpose, q.Consent.Recipient, subject}
	}
	out := make(map[string]bool, len(subjects))
	unknown := subjects
	if maxAge > 0 {
		unknown = nil
		now := s.now()
		s.mu.Lock()
		for _, subject := range subjects {
			if a, ok := s.given[key(subject)]; ok && now.Before(a.until) && now.Before(a.asked.Add(maxAge)) {
				out[subject] = a.consented
			} else {
				unknown = append(unknown, subject)
			}
		}
		s.mu.Unlock()
	}
	told := source.ConsentAnswer{Service: svc.Name, Asked: len(subjects)}
	if len(unknown) > 0 {
		// From before the question: an answer may have been on its way for long.
		at := s.now()
		body, err := json.Marshal(request{q.Agreement, q.Consent.Purpose, q.Consent.Recipient, unknown})
		if err != nil {
			return nil, err
		}
		got, err := s.pool.Do(ctx, q.Agreement, svc.Name, svc.HTTPAccess, httpclient.Request{URL: svc.URL, Method: "POST", Body: body, MaxBytes: maxAnswer})
		if err != nil {
			return nil, err
		}
		consents, ref, err := parse(got.Body, len(unknown))
		if err != nil {
			return nil, err
		}
		told.Ref, told.Body = ref, got.Body
		for i, subject := range unknown {
			out[subject] = consents[i]
		}
		if maxAge > 0 {
			s.keep(unknown, consents, key, at, maxAge)
		}
	}
	for _, consented := range out {
		if consented {
			told.Given++
		}
	}
	if q.Consent.Checked != nil {
		q.Consent.Checked(told)
	}
	return out, nil
}

// parse reads an answer strictly: as many words as subjects, and no member that might mean something else.
func parse(body []byte, subjects int) (consents []bool, ref string, err error) {
	v, err := httpclient.Parse(body)
	if err != nil {
		return nil, "", err
	}
	o, _ := v.(map[string]any)
	list, ok := o["consents"].([]any)
	if !ok || len(list) != subjects {
		return nil, "", errAnswer
	}
	for _, w := range list {
		consented, ok := w.(bool)
		if !ok {
			return nil, "", errAnswer
		}
		consents = append(consents, consented)
	}
	for name, v := range o {
		switch name {
		case "consents":
		case "ref":
			if ref, ok = v.(string); !ok || len(ref) > maxRef {
				return nil, "", errAnswer
			}
		default:
			return nil, "", errAnswer
		}
	}
	return consents, ref, nil
}

func (s *service) keep(subjects []string, consents []bool, key func(string) given, asked time.Time, maxAge time.Duration) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.given) > 0 && now.Sub(s.swept) >= time.Second {
		s.swept = now
		for k, a := range s.given {
			if !now.Before(a.until) {
				delete(s.given, k)
			}
		}
	}
	if len(s.given)+len(subjects) > maxGiven {
		clear(s.given)
	}
	for i, subject := range subjects {
		s.given[key(subject)] = answer{consents[i], asked, asked.Add(maxAge)}
	}
}

// forget drops what was answered under an agreement.
func (s *service) forget(agreement string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.given {
		if k.agreement == agreement {
			delete(s.given, k)
		}
	}
}
