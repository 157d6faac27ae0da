package replication

import (
	"context"
	"errors"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"teraslot/account"
	"teraslot/mailstore"
)

// serviceName is the first part of the calls' paths.
const serviceName = "teraslot.replication"

// The calls. Each is a stream in both directions of frames; who asks ends his half
// when he has asked all.
const (
	callHello   = "Hello"   // hello → welcome
	callState   = "State"   // user → state, (rest | boxes)…
	callOffer   = "Offer"   // offer → lacking
	callApply   = "Apply"   // begin, (message, data…)…, [image, (rest | boxes)…, records…, commit] → result
	callRecords = "Records" // mailbox → records…
	callFetch   = "Fetch"   // offer → (message, data… | none)…
	callDigests = "Digests" // – → digest…
	callCheck   = "Check"   // check → finding…
	callSound   = "Sound"   // mailbox → records… that are not damaged
	callDamaged = "Damaged" // user → damaged
	callUnread  = "Unread"  // user → lacking
	callMend    = "Mend"    // user, records… → result
)

// exchange is a call as both sides have it.
type exchange interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

// receive takes the next frame. io.EOF: the other has said all.
func receive(x exchange) (*frame, error) {
	f := new(frame)
	if err := x.RecvMsg(f); err != nil {
		return nil, err
	}
	return f, nil
}

// receiveKind takes the next frame, which has to be of that kind.
func receiveKind(x exchange, want kind, read func(d *decoder)) error {
	f, err := receive(x)
	if err != nil {
		return err
	}
	return parse(f, want, read)
}

func sendAll(x exchange, frames []*frame) error {
	for _, f := range frames {
		if err := x.SendMsg(f); err != nil {
			return err
		}
	}
	return nil
}

// sendRecords sends the records of one mailbox.
func sendRecords(x exchange, c *mailstore.BoxChange) error {
	for f := range recordFrames(c) {
		if err := x.SendMsg(f); err != nil {
			return err
		}
	}
	return nil
}

// Keys of the metadata that goes with each call but Hello.
const (
	keyVersion = "teraslot-version"
	keyStore   = "teraslot-store"
)

// description is the service as gRPC wants to have it.
func description() *grpc.ServiceDesc {
	d := &grpc.ServiceDesc{ServiceName: serviceName, HandlerType: (*any)(nil)}
	for name, call := range map[string]func(*Server, grpc.ServerStream) error{
		callHello: (*Server).hello, callState: (*Server).state, callOffer: (*Server).offer, callApply: (*Server).apply,
		callRecords: (*Server).records, callFetch: (*Server).fetch, callDigests: (*Server).digests, callCheck: (*Server).check,
		callDamaged: (*Server).damaged, callSound: (*Server).sound, callUnread: (*Server).unread, callMend: (*Server).mend,
	} {
		d.Streams = append(d.Streams, grpc.StreamDesc{
			StreamName: name, ServerStreams: true, ClientStreams: true,
			Handler: func(srv any, x grpc.ServerStream) error {
				s := srv.(*Server)
				if name != callHello {
					if err := s.admit(x.Context()); err != nil {
						return err
					}
				}
				return s.told(name, call(s, x))
			},
		})
	}
	return d
}

// admit refuses calls of another store or version.
func (s *Server) admit(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	one := func(key string) string {
		if v := md.Get(key); len(v) == 1 {
			return v[0]
		}
		return ""
	}
	if store := one(keyStore); store != s.o.StoreName {
		return status.Errorf(codes.PermissionDenied, "this is store %q, not %q", s.o.StoreName, store)
	}
	v, err := strconv.ParseUint(one(keyVersion), 10, 32)
	if err != nil || v < oldestVersion || v > newestVersion {
		return status.Errorf(codes.FailedPrecondition, "version %q is not spoken here", one(keyVersion))
	}
	return nil
}

// told makes an error one that says to the other side what it may do about it.
func (s *Server) told(call string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	code := codes.Internal
	var damage *mailstore.Damage
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		code = codes.Canceled
	case errors.Is(err, ErrWire), errors.Is(err, account.ErrName):
		code = codes.InvalidArgument
	case errors.Is(err, mailstore.ErrFull):
		code = codes.ResourceExhausted
	case errors.As(err, &damage):
		code = codes.DataLoss
	case errors.Is(err, mailstore.ErrNoUser), errors.Is(err, mailstore.ErrNoMailbox), errors.Is(err, account.ErrNoAccount):
		code = codes.NotFound
	case errors.Is(err, ErrRole):
		code = codes.FailedPrecondition
	}
	if code != codes.Canceled {
		s.o.Logger.Warn("replication: a call failed", "call", call, "err", err)
	}
	return status.Error(code, err.Error())
}
