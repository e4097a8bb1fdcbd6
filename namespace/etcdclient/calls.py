"""etcd's methods that we call."""

from namespace.etcdclient.proto import etcd_pb2 as pb
from namespace.rpc.methods import Talk, Unary

_KV, _LEASE = "etcdserverpb.KV", "etcdserverpb.Lease"

RANGE = Unary(_KV, "Range", pb.RangeRequest, pb.RangeResponse)
PUT = Unary(_KV, "Put", pb.PutRequest, pb.PutResponse)
DELETE = Unary(_KV, "DeleteRange", pb.DeleteRangeRequest, pb.DeleteRangeResponse)
TXN = Unary(_KV, "Txn", pb.TxnRequest, pb.TxnResponse)
COMPACT = Unary(_KV, "Compact", pb.CompactionRequest, pb.CompactionResponse)
GRANT = Unary(_LEASE, "LeaseGrant", pb.LeaseGrantRequest, pb.LeaseGrantResponse)
REVOKE = Unary(_LEASE, "LeaseRevoke", pb.LeaseRevokeRequest, pb.LeaseRevokeResponse)
KEEP_ALIVE = Talk(_LEASE, "LeaseKeepAlive", pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse)
WATCH = Talk("etcdserverpb.Watch", "Watch", pb.WatchRequest, pb.WatchResponse)
STATUS = Unary("etcdserverpb.Maintenance", "Status", pb.StatusRequest, pb.StatusResponse)
AUTHENTICATE = Unary("etcdserverpb.Auth", "Authenticate", pb.AuthenticateRequest, pb.AuthenticateResponse)
