"""The methods of the namespace service, for both ends."""

from namespace.rpc.methods import Feed, Talk, Unary
from namespace.service.proto import namespace_pb2 as pb

SERVICE = "causeway.namespace.Namespace"
WATCH = Feed(SERVICE, "Watch", pb.WatchQuestion, pb.News)
APPLY = Talk(SERVICE, "Apply", pb.ApplyPiece, pb.RevisionShown)
HISTORY = Unary(SERVICE, "History", pb.HistoryQuestion, pb.History)
FILES = Feed(SERVICE, "Files", pb.FilesQuestion, pb.FilesPiece)
ADD_KEY = Unary(SERVICE, "AddKey", pb.KeyQuestion, pb.Done)
REMOVE_KEY = Unary(SERVICE, "RemoveKey", pb.NameQuestion, pb.Done)
ADD_PIN = Unary(SERVICE, "AddPin", pb.PinQuestion, pb.Done)
REMOVE_PIN = Unary(SERVICE, "RemovePin", pb.NameQuestion, pb.Done)
PUBLISH = Unary(SERVICE, "Publish", pb.NodeQuestion, pb.Done)
PIECE_BYTES = 512 * 1024
"""Of a message: far below gRPC's bound, and little memory for each of a thousand who listen."""
SIGN_SECONDS = 2.0
"""Between two messages of a watch at most: who hears nothing for three times that goes to another instance."""
