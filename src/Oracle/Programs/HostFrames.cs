using System.Collections.Generic;
using Quietus.Oracle.Judging;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>
/// The host's own memory but for huge pages: a file, which is always there, and frames that it gives out and takes
/// back.
/// </summary>
internal sealed class HostFrames
{
    public const ulong Start = 0x9_0000_0000;
    private const int SpareFrames = 64;

    private readonly Judge _judge;
    private readonly ulong _granule;
    private readonly Stack<ulong> _spare = new();

    /// <param name="judge">Is told of the memory.</param>
    /// <param name="granule">Bytes of a page.</param>
    /// <param name="filePages">Pages of the file.</param>
    public HostFrames(Judge judge, ulong granule, int filePages)
    {
        _judge = judge;
        _granule = granule;
        Pages = filePages + SpareFrames;
        judge.AddMemory(new Pa(Start), (ulong)Pages * granule, isPool: false, isZero: false);
        File = judge.AddParty("the file");
        judge.Own(new Pa(Start), (ulong)filePages * granule, File);
        judge.Write(new Pa(Start), (ulong)filePages * granule, Judge.Hypervisor, File, isCached: true);
        for (int frame = Pages - 1; frame >= filePages; frame--)
        {
            _spare.Push(OfFile(frame));
        }
    }

    /// <summary>The file's pages, and the frames after them.</summary>
    public int Pages { get; }

    /// <summary>The party to whom the file's bytes belong.</summary>
    public int File { get; }

    /// <summary>Frames that are free, the next one to be given out first.</summary>
    public IEnumerable<ulong> Free => _spare;

    public ulong OfFile(int page) => Start + ((ulong)page * _granule);

    /// <summary>Takes a frame, zeroed, for a party; false where none is left.</summary>
    public bool TryTakeZeroed(int owner, out ulong frame) => TryTake(owner, Judge.Hypervisor, out frame);

    /// <summary>Takes a frame for a party, and copies a page into it; false where none is left.</summary>
    public bool TryCopy(Pa from, string where, int owner, out ulong copy)
    {
        if (_spare.Count != 0)
        {
            _judge.Consume(from, "the host, copying", where, isCached: true);
        }

        return TryTake(owner, owner, out copy);
    }

    public void Return(ulong frame)
    {
        _judge.ReturnFrames(new Pa(frame), _granule);
        _spare.Push(frame);
    }

    private bool TryTake(int owner, int bytesOf, out ulong frame)
    {
        if (!_spare.TryPop(out frame))
        {
            return false;
        }

        _judge.Own(new Pa(frame), _granule, owner);
        _judge.Write(new Pa(frame), _granule, Judge.Hypervisor, bytesOf, isCached: true);
        return true;
    }
}
