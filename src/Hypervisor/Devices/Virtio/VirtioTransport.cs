using System;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using static Quietus.Hypervisor.Devices.Virtio.VirtioRegisters;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>
/// The registers of a virtio device over MMIO, version 2 (Virtual I/O Device 1.2, 4.2.2): how a driver finds the
/// device, agrees on features with it, gives it queues and tells it of requests.
/// </summary>
/// <remarks>
/// Zeroed memory is a place without a device. The VM's device lock is held for all members. A reset is complete when
/// the write of the status returns, since requests are carried out under the same lock.
/// </remarks>
public struct VirtioTransport
{
    /// <summary>Queues of a device at most.</summary>
    public const int MostQueues = 3;

    private const uint Vendor = 0x5155_4945; // "QUIE"

    private const uint StatusOfDriver =
        StatusAcknowledge | StatusDriver | StatusDriverOk | StatusFeaturesOk | StatusFailed;

    private const ulong FeaturesOfAll = FeatureIndirect | FeatureEventIndex | FeatureVersion1;

    private QueueArray _queues;
    private ulong _offered;
    private ulong _accepted;
    private uint _deviceId;
    private uint _queueCount;
    private uint _offeredSelect;
    private uint _acceptedSelect;
    private uint _queueSelect;
    private uint _status;
    private uint _interrupts;
    private uint _generation;
    private uint _notified;

    /// <summary>Whether a device is here.</summary>
    public readonly bool Exists => _deviceId != 0;

    /// <summary>The interrupt line, a level.</summary>
    public readonly bool InterruptLine => _interrupts != 0;

    /// <summary>The features of its own that the driver accepted.</summary>
    public readonly ulong Features => _accepted & ~FeaturesOfAll;

    /// <summary>Whether the driver has set the device up, and it is not broken.</summary>
    public readonly bool IsRunning => (_status & (StatusDriverOk | StatusNeedsReset)) == StatusDriverOk;

    /// <summary>Whether the driver has told of requests that were not looked at yet.</summary>
    public readonly bool HasWork => _notified != 0;

    /// <summary>What broke the device since its last reset; Ok when nothing did.</summary>
    public VirtqueueResult Problem { get; private set; }

    /// <summary>Puts a device here, as after power-on.</summary>
    /// <param name="deviceId">Which kind (Virtual I/O Device 1.2, 5).</param>
    /// <param name="features">Its own features, without those that every device has.</param>
    /// <param name="queueCount">1 to <see cref="MostQueues"/>.</param>
    public void Install(uint deviceId, ulong features, int queueCount)
    {
        this = default;
        _deviceId = deviceId;
        _offered = features | FeaturesOfAll;
        _queueCount = (uint)queueCount < MostQueues ? (uint)queueCount : MostQueues;
    }

    /// <summary>A queue of the device's, below its count.</summary>
    [UnscopedRef]
    public ref Virtqueue QueueAt(int queue) => ref _queues[queue];

    /// <summary>Takes note that a queue is looked at: false when the driver has told of nothing there.</summary>
    public bool TryBegin(int queue)
    {
        uint bit = 1U << queue;
        bool isNotified = (_notified & bit) != 0;
        _notified &= ~bit;
        return isNotified;
    }

    /// <summary>Gives a request of a queue's back, with an interrupt when the driver wants one.</summary>
    /// <param name="queue">Which queue.</param>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="head">The request's <see cref="BufferChain.Head"/>.</param>
    /// <param name="written">Bytes written, from the first writable one on.</param>
    /// <returns>Ok or NoMemory.</returns>
    public VirtqueueResult Complete<TMemory>(int queue, ref TMemory memory, ushort head, uint written)
        where TMemory : struct, IGuestMemory
    {
        VirtqueueResult result = _queues[queue].Complete(ref memory, head, written, out bool interrupts);
        _interrupts |= interrupts ? InterruptUsed : 0;
        return result;
    }

    /// <summary>Ends a step on a queue that <see cref="TryBegin"/> began.</summary>
    /// <param name="queue">Which queue.</param>
    /// <param name="before">The queue as it was, with the progress that the step made.</param>
    /// <param name="result">What the step came to; after Empty the queue waits for its next notification.</param>
    /// <param name="isDone">Whether the request was given back; one that was not is the next one still.</param>
    /// <returns>False: the request's memory cannot be reached now.</returns>
    public bool Finish(int queue, in Virtqueue before, VirtqueueResult result, bool isDone)
    {
        if (result == VirtqueueResult.NoMemory || (result == VirtqueueResult.Ok && !isDone))
        {
            _queues[queue] = before;
        }

        if (result is VirtqueueResult.Ok or VirtqueueResult.NoMemory)
        {
            _notified |= 1U << queue;
        }
        else if (result != VirtqueueResult.Empty)
        {
            Break(result);
        }

        return result != VirtqueueResult.NoMemory;
    }

    /// <summary>The device's configuration has changed: a driver that is ready is told.</summary>
    public void ChangeConfiguration()
    {
        if ((_status & StatusDriverOk) != 0)
        {
            _interrupts |= InterruptConfig;
        }

        _generation++;
    }

    /// <summary>The driver did what it must not: nothing goes on before its reset (2.1.1).</summary>
    public void Break(VirtqueueResult problem)
    {
        Problem = problem;
        _notified = 0;
        _status |= StatusNeedsReset;
        ChangeConfiguration();
    }

    /// <summary>A read. Registers are 4 bytes and aligned; anything else reads as 0.</summary>
    public readonly ulong Read(ulong offset, int size) =>
        size != 4 || offset % 4 != 0 ? 0 : offset switch
        {
            Magic => MagicValue,
            VirtioRegisters.Version => ModernVersion,
            DeviceId => _deviceId,
            VendorId => Vendor,
            DeviceFeatures => Half(_offered, _offeredSelect),
            QueueSizeMax => _queueSelect < _queueCount ? (uint)Virtqueue.MostEntries : 0,
            QueueReady => _queueSelect < _queueCount && _queues[(int)_queueSelect].IsReady ? 1U : 0,
            InterruptStatus => _interrupts,
            Status => _status,
            >= SharedMemoryFirst and <= SharedMemoryLast => uint.MaxValue, // no such region: length -1
            ConfigGeneration => _generation,
            _ => 0,
        };

    /// <summary>A write. What is no register, or read-only, or comes at the wrong time, does nothing.</summary>
    public void Write<TMemory>(ref TMemory memory, ulong offset, int size, ulong value)
        where TMemory : struct, IGuestMemory
    {
        uint word = (uint)value;
        if (size != 4 || !Exists)
        {
            return;
        }

        switch (offset)
        {
            case DeviceFeaturesSelect:
                _offeredSelect = word;
                break;
            case DriverFeaturesSelect:
                _acceptedSelect = word;
                break;
            case DriverFeatures:
                Accept(word);
                break;
            case QueueSelect:
                _queueSelect = word;
                break;
            case QueueNotify:
                Notify(word);
                break;
            case InterruptAcknowledge:
                _interrupts &= ~word;
                break;
            case Status:
                WriteStatus(word);
                break;
            default:
                if (_queueSelect < _queueCount)
                {
                    WriteQueue(ref memory, ref _queues[(int)_queueSelect], offset, word);
                }

                break;
        }
    }

    /// <summary>A read of a device's configuration; what is not there reads as 0.</summary>
    /// <param name="configuration">The configuration.</param>
    /// <param name="offset">Where, from <see cref="VirtioRegisters.Configuration"/> on; any value.</param>
    /// <param name="size">1, 2, 4 or 8 bytes.</param>
    public static ulong ReadConfiguration(scoped ReadOnlySpan<byte> configuration, ulong offset, int size)
    {
        ulong value = 0;
        for (int i = 0; i < size && offset + (ulong)i < (ulong)configuration.Length; i++)
        {
            value |= (ulong)configuration[(int)offset + i] << (8 * i);
        }

        return value;
    }

    private static uint Half(ulong value, uint select) => select switch
    {
        0 => (uint)value,
        1 => (uint)(value >> 32),
        _ => 0,
    };

    private static ulong WithHalf(ulong value, uint word, bool isHigh) =>
        isHigh ? (uint)value | ((ulong)word << 32) : (value & ~(ulong)uint.MaxValue) | word;

    private void Accept(uint word)
    {
        if ((_status & StatusFeaturesOk) == 0 && _acceptedSelect <= 1)
        {
            _accepted = WithHalf(_accepted, word, _acceptedSelect == 1);
        }
    }

    /// <summary>
    /// There is something to do at a queue: its driver says so, or the device itself has something for it. Nothing
    /// comes of it before the driver is ready, or when the device is broken.
    /// </summary>
    public void Notify(uint queue)
    {
        if (queue < _queueCount && IsRunning)
        {
            _notified |= 1U << (int)queue;
        }
    }

    private void WriteStatus(uint word)
    {
        if (word == 0)
        {
            uint generation = _generation;
            ulong features = _offered & ~FeaturesOfAll;
            Install(_deviceId, features, (int)_queueCount);
            _generation = generation;
            return;
        }

        // A driver adds bits, it takes none away but by a reset. Features that were not offered, or that lack
        // VERSION_1, are refused: FEATURES_OK stays clear (3.1.1, 6.1).
        uint added = word & StatusOfDriver;
        bool isAgreed = (_accepted & ~_offered) == 0 && (_accepted & FeatureVersion1) != 0;
        _status |= isAgreed || (_status & StatusFeaturesOk) != 0 ? added : added & ~StatusFeaturesOk;
    }

    private void WriteQueue<TMemory>(ref TMemory memory, ref Virtqueue queue, ulong offset, uint word)
        where TMemory : struct, IGuestMemory
    {
        if (offset == QueueReady)
        {
            if ((word & 1) == 0)
            {
                queue.Disable();
            }
            else if (!queue.IsReady && (_status & StatusFeaturesOk) != 0)
            {
                VirtqueueResult result = queue.Enable(
                    ref memory, (_accepted & FeatureEventIndex) != 0, (_accepted & FeatureIndirect) != 0);
                if (result != VirtqueueResult.Ok)
                {
                    Break(result);
                }
            }

            return;
        }

        if (queue.IsReady)
        {
            return; // what was checked stays as it was
        }

        bool isHigh = (offset & 4) != 0;
        switch (offset & ~4UL)
        {
            case QueueSize when !isHigh:
                queue.Size = word;
                break;
            case QueueDescriptors:
                queue.Descriptors = WithHalf(queue.Descriptors, word, isHigh);
                break;
            case QueueAvailable:
                queue.Available = WithHalf(queue.Available, word, isHigh);
                break;
            case QueueUsed:
                queue.Used = WithHalf(queue.Used, word, isHigh);
                break;
            default:
                break;
        }
    }

    [InlineArray(MostQueues)]
    private struct QueueArray
    {
        private Virtqueue _first;
    }
}
