"""AuditService and ErasureService: wire to the log and the eraser, and back."""

from typing import Any

from penstock.guardrail.v1 import (
    audit_pb2,
    audit_service_pb2,
    audit_service_pb2_grpc,
    erasure_pb2,
    erasure_service_pb2,
    erasure_service_pb2_grpc,
)

from penstock_guardrail.audit.log import AuditLog, Shown
from penstock_guardrail.audit.witnesses import Cosigned, Witnesses
from penstock_guardrail.erasure import Eraser

_PAGE_SIZE = 100


class AuditServicer(audit_service_pb2_grpc.AuditServiceServicer):
    """The audit logs."""

    def __init__(self, log: AuditLog, witnesses: Witnesses) -> None:
        self._log = log
        self._witnesses = witnesses

    async def GetAuditLog(
        self, request: audit_service_pb2.GetAuditLogRequest, _context: Any
    ) -> audit_service_pb2.GetAuditLogResponse:
        """Give a log."""
        organization = _organization(request.name)
        size, checkpoint = await self._log.checkpoint(organization)
        log = audit_pb2.AuditLog(
            name=request.name,
            size=size,
            verifier_key=await self._log.verifier_key(organization),
            checkpoint=checkpoint,
            cosigned_checkpoints=map(_cosigned, await self._witnesses.of(organization)),
        )
        return audit_service_pb2.GetAuditLogResponse(audit_log=log)

    async def ListAuditEntries(
        self, request: audit_service_pb2.ListAuditEntriesRequest, _context: Any
    ) -> audit_service_pb2.ListAuditEntriesResponse:
        """Give entries."""
        size = request.page_size or _PAGE_SIZE
        shown = await self._log.entries(_organization(request.parent), request.start_index, size)
        return audit_service_pb2.ListAuditEntriesResponse(entries=map(_entry, shown))

    async def GetInclusionProof(
        self, request: audit_service_pb2.GetInclusionProofRequest, _context: Any
    ) -> audit_service_pb2.GetInclusionProofResponse:
        """Prove that an entry is in a tree."""
        organization = _organization(request.parent)
        hashes = await self._log.inclusion_proof(organization, request.index, request.tree_size)
        return audit_service_pb2.GetInclusionProofResponse(hashes=hashes)

    async def GetConsistencyProof(
        self, request: audit_service_pb2.GetConsistencyProofRequest, _context: Any
    ) -> audit_service_pb2.GetConsistencyProofResponse:
        """Prove that a tree begins with a smaller one."""
        organization = _organization(request.name)
        hashes = await self._log.consistency_proof(organization, request.first_size, request.second_size)
        return audit_service_pb2.GetConsistencyProofResponse(hashes=hashes)

    async def CosignAuditLog(
        self, request: audit_service_pb2.CosignAuditLogRequest, _context: Any
    ) -> audit_service_pb2.CosignAuditLogResponse:
        """Keep what a witness signed."""
        organization = _organization(request.name)
        kept = await self._witnesses.keep(organization, request.witness_key, request.checkpoint)
        return audit_service_pb2.CosignAuditLogResponse(cosigned_checkpoint=_cosigned(kept))


class ErasureServicer(erasure_service_pb2_grpc.ErasureServiceServicer):
    """Erasures."""

    def __init__(self, eraser: Eraser) -> None:
        self._eraser = eraser

    async def ErasePerson(
        self, request: erasure_service_pb2.ErasePersonRequest, _context: Any
    ) -> erasure_service_pb2.ErasePersonResponse:
        """Erase a person."""
        erased = await self._eraser.erase(_organization(request.parent), request.user)
        receipt = erasure_pb2.ErasureReceipt(
            entry=_entry(erased.entry),
            checkpoint=erased.checkpoint,
            inclusion_proof=erased.inclusion_proof,
            sessions=erased.sessions,
            entries=erased.entries,
        )
        return erasure_service_pb2.ErasePersonResponse(receipt=receipt)


def _cosigned(cosigned: Cosigned) -> audit_pb2.CosignedCheckpoint:
    return audit_pb2.CosignedCheckpoint(
        witness_key=cosigned.witness_key, size=cosigned.size, checkpoint=cosigned.checkpoint
    )


def _entry(shown: Shown) -> audit_pb2.AuditEntry:
    return audit_pb2.AuditEntry(
        index=shown.index,
        leaf_hash=shown.leaf_hash,
        record=shown.record,
        salt=shown.salt,
        damaged=shown.is_damaged,
    )


def _organization(name: str) -> str:
    """Read the organization of a name; the contract's rules have checked its form."""
    return name.split("/")[1]
