using System;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>Where an entropy device's bytes come from.</summary>
public interface IRandomSource
{
    /// <summary>Fills all of it. False, and nothing written, when there are no random numbers.</summary>
    bool TryFill(scoped Span<byte> destination);
}

/// <summary>
/// An entropy device (Virtual I/O Device 1.2, 5.4): one queue of buffers to fill with random bytes. The VM's device
/// lock is held for all members.
/// </summary>
public struct VirtioRng
{
    /// <summary>Bytes that a request gets at most; the driver asks again for more (5.4.6).</summary>
    public const int MostBytes = 64;

    private const int RequestQueue = 0;

    /// <summary>Its registers.</summary>
    public VirtioTransport Transport;

    /// <summary>Puts the device there.</summary>
    public void Install() => Transport.Install(VirtioKinds.Entropy, features: 0, queueCount: 1);

    /// <summary>
    /// Carries one request out, if there is one; <see cref="VirtioTransport.HasWork"/> says whether that was all.
    /// </summary>
    /// <returns>
    /// False: some of the request's memory cannot be reached. Nothing was given back, and the request is the next
    /// one still: the caller makes the memory reachable, or breaks the device.
    /// </returns>
    public bool TryStep<TMemory, TSource>(ref TMemory memory, ref TSource source)
        where TMemory : struct, IGuestMemory
        where TSource : struct, IRandomSource
    {
        if (!Transport.TryBegin(RequestQueue))
        {
            return true;
        }

        ref Virtqueue queue = ref Transport.QueueAt(RequestQueue);
        Virtqueue before = queue;
        BufferChain chain = default;
        VirtqueueResult result = queue.TryTake(ref memory, ref chain);
        if (result == VirtqueueResult.Ok)
        {
            Span<byte> bytes = stackalloc byte[MostBytes];
            bytes = bytes.Slice(0, (int)Math.Min(chain.WritableBytes, MostBytes));
            bytes = source.TryFill(bytes) ? bytes : default;
            result = chain.TryWrite(ref memory, 0, bytes)
                ? Transport.Complete(RequestQueue, ref memory, chain.Head, (uint)bytes.Length)
                : VirtqueueResult.NoMemory;
        }

        return Transport.Finish(RequestQueue, in before, result, isDone: true);
    }
}
