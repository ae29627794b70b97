"""grpc.reflection.v1 and v1alpha: what the services of this port are, for grpcurl and its like.

Owns: the files that describe the services, and who asks for which. etcd has no reflection. Must
never do: describe what is not served.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import Default as default_pool

from raftkv.api.reflection_pb2 import (
    DESCRIPTOR,
    ErrorResponse,
    ExtensionNumberResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)
from raftkv.apply.state import parse
from raftkv.rpc.errors import Code, status_of
from raftkv.rpc.health import health_file
from raftkv.wire.service import Service, Stream

V1, V1_ALPHA = "grpc.reflection.v1", "grpc.reflection.v1alpha"
_SERVICE = "ServerReflection"
_METHOD = "ServerReflectionInfo"


def with_reflection(services: Sequence[Service]) -> tuple[Service, ...]:
    """``services``, and those that describe them and themselves."""
    names = [service.name for service in services]
    names += [f"{package}.{_SERVICE}" for package in (V1, V1_ALPHA)]
    reflection = _Reflection(names, _Files(_described(names)))
    own = [
        Service(name, status_of, streams={_METHOD: reflection.serve})
        for name in names[len(services) :]
    ]
    return (*services, *own)


def _described(names: Iterable[str]) -> Iterator[FileDescriptorProto]:
    """The files of the services, those that they import first."""
    pool = default_pool()
    yield health_file()
    yield _alpha_file()
    waiting = [pool.FindFileContainingSymbol(name) for name in names if _is_generated(name)]
    while waiting:
        found = waiting.pop()
        waiting += found.dependencies
        file = FileDescriptorProto()
        found.CopyToProto(file)
        yield file


def _is_generated(name: str) -> bool:
    """The two others are made by hand."""
    return not name.startswith((f"{V1_ALPHA}.", "grpc.health.v1."))


def _alpha_file() -> FileDescriptorProto:
    renamed = FileDescriptorProto()
    DESCRIPTOR.CopyToProto(renamed)
    renamed.name = f"{V1_ALPHA.replace('.', '/')}/reflection.proto"
    renamed.package = V1_ALPHA
    for message in renamed.message_type:
        for field in filter(lambda field: field.type_name, message.field):
            field.type_name = field.type_name.replace(f".{V1}.", f".{V1_ALPHA}.")
    for service in renamed.service:
        for method in service.method:
            method.input_type = method.input_type.replace(f".{V1}.", f".{V1_ALPHA}.")
            method.output_type = method.output_type.replace(f".{V1}.", f".{V1_ALPHA}.")
    return renamed


class _Files:
    """Files by name, and by each symbol in them."""

    def __init__(self, files: Iterable[FileDescriptorProto]) -> None:
        self._files: dict[str, FileDescriptorProto] = {}
        self._file_of: dict[str, str] = {}
        for file in files:
            self._files[file.name] = file
            for symbol in _symbols(file):
                self._file_of[symbol] = file.name

    def knows(self, symbol: str) -> bool:
        return symbol in self._file_of

    def containing(self, symbol: str) -> list[bytes]:
        """The file of ``symbol`` and all that it imports; nothing for one that is unknown."""
        return self.named(self._file_of.get(symbol, ""))

    def named(self, name: str) -> list[bytes]:
        wanted, found = [name], dict[str, bytes]()
        while wanted:
            file = self._files.get(wanted.pop())
            if file is not None and file.name not in found:
                found[file.name] = file.SerializeToString()
                wanted += file.dependency
        return list(found.values())


def _symbols(file: FileDescriptorProto) -> Iterator[str]:
    prefix = f"{file.package}."
    for service in file.service:
        yield prefix + service.name
        for method in service.method:
            yield f"{prefix}{service.name}.{method.name}"
    yield from _types(prefix, file.message_type, file.enum_type)


def _types(
    prefix: str, messages: Iterable[DescriptorProto], enums: Iterable[EnumDescriptorProto]
) -> Iterator[str]:
    for enum in enums:
        yield prefix + enum.name
    for message in messages:
        yield prefix + message.name
        inner = f"{prefix}{message.name}."
        for field in message.field:
            yield inner + field.name
        yield from _types(inner, message.nested_type, message.enum_type)


class _Reflection:
    def __init__(self, names: Sequence[str], files: _Files) -> None:
        self._services = [ServiceResponse(name=name) for name in sorted(names)]
        self._files = files

    async def serve(self, stream: Stream) -> None:
        async for payload in stream:
            request = parse(ServerReflectionRequest, payload)
            stream.send(self._answer(request).SerializeToString())
            await stream.drain()

    def _answer(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        response = ServerReflectionResponse(valid_host=request.host, original_request=request)
        files: list[bytes] = []
        match request.WhichOneof("message_request"):
            case "list_services":
                services = ListServiceResponse(service=self._services)
                response.list_services_response.CopyFrom(services)
                return response
            case "all_extension_numbers_of_type":
                name = request.all_extension_numbers_of_type
                if self._files.knows(name):  # proto3 has no extensions
                    none = ExtensionNumberResponse(base_type_name=name)
                    response.all_extension_numbers_response.CopyFrom(none)
                    return response
            case "file_by_filename":
                files = self._files.named(request.file_by_filename)
            case "file_containing_symbol":
                files = self._files.containing(request.file_containing_symbol)
        if files:
            found = FileDescriptorResponse(file_descriptor_proto=files)
            response.file_descriptor_response.CopyFrom(found)
        else:
            missing = ErrorResponse(error_code=int(Code.NOT_FOUND), error_message="not found")
            response.error_response.CopyFrom(missing)
        return response
