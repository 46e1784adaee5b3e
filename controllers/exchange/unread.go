package exchange

import (
	"context"
	"path"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// unread reports the messages that gRPC refuses before anybody reads them, because they are too large: a peer that sends such is
// named, as one is whose message was read.
type unread struct {
	server *Server
}

type methodKey struct{}

// TagRPC implements stats.Handler.
func (unread) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, methodKey{}, path.Base(info.FullMethodName))
}

// HandleRPC implements stats.Handler. What this package refuses gives a reason; gRPC gives none.
func (u unread) HandleRPC(ctx context.Context, s stats.RPCStats) {
	end, ok := s.(*stats.End)
	if !ok || status.Code(end.Error) != codes.ResourceExhausted || ReasonOf(end.Error) != "" {
		return
	}
	method, _ := ctx.Value(methodKey{}).(string)
	if who, err := u.server.caller(ctx); err == nil {
		u.server.tell(who.Party, method, refuse(TooLarge, "the message has more than %d bytes", maxMessage))
	}
}

// TagConn implements stats.Handler.
func (unread) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (unread) HandleConn(context.Context, stats.ConnStats) {}
