using System.Runtime.CompilerServices;
using System.Threading;

namespace Quietus.Hypervisor.Scheduling;

/// <summary>A moment in an <see cref="ExpiryHeap"/>. All zero is one that is in none.</summary>
/// <remarks>Invariant of the pointers: a linked node lives, unmoved, until it is taken out.</remarks>
internal unsafe struct ExpiryNode
{
    /// <summary>The system counter's value at which it is due.</summary>
    internal ulong When;

    /// <summary>The vCPU that waits for it.</summary>
    internal SchedulerEntry* Entry;

    internal ExpiryNode* Parent;
    internal ExpiryNode* Left;
    internal ExpiryNode* Right;

    /// <summary>Nodes on the way to the nearest missing child; 0 when it is in no heap.</summary>
    internal int Rank;

    internal readonly bool IsLinked => Rank != 0;
}

/// <summary>
/// The moments that a core has to wake its blocked vCPUs at, ordered: a leftist heap (Crane 1972; Knuth, The Art of
/// Computer Programming 3, 5.2.3). To add one, to take any one out and to take the first one out are all logarithmic
/// in the worst case, since a heap of n has at most log2(n + 1) nodes along its right side. It needs no memory.
/// </summary>
/// <remarks>
/// <code>
///        10          A child is due no earlier than its parent, and the left child's rank is no less than the
///       /  \         right one's. Everything is a merge along right sides.
///     14    12
///    /  \
///  20    15
/// </code>
/// Invariant of the pointers: see <see cref="ExpiryNode"/>.
/// </remarks>
internal unsafe struct ExpiryHeap
{
    private ExpiryNode* _root;

    /// <summary>When the first one is due; the greatest value when there is none.</summary>
    internal readonly ulong NextWhen => _root == null ? ulong.MaxValue : _root->When;

    /// <summary>
    /// The first node without the lock that adding and removing need: right a moment ago. A node's memory stays a
    /// vCPU's record for good, whatever happens to the vCPU, and is all zero where there is none.
    /// </summary>
    internal readonly ExpiryNode* FirstNow
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (ExpiryNode*)Volatile.Read(in Unsafe.As<ExpiryHeap, ulong>(ref Unsafe.AsRef(in this)));
    }

    /// <summary>The node that is due first, or null.</summary>
    internal readonly ExpiryNode* First => _root;

    /// <summary>Adds a node that is in no heap.</summary>
    internal void Add(ExpiryNode* node)
    {
        node->Left = null;
        node->Right = null;
        node->Parent = null;
        node->Rank = 1;
        _root = _root == null ? node : Merge(_root, node);
        _root->Parent = null;
    }

    /// <summary>Takes a node out that is in this heap.</summary>
    internal void Remove(ExpiryNode* node)
    {
        ExpiryNode* parent = node->Parent;
        ExpiryNode* rest = node->Right == null ? node->Left : Merge(node->Left, node->Right);
        if (rest != null)
        {
            rest->Parent = parent;
        }

        if (parent == null)
        {
            _root = rest;
        }
        else if (parent->Left == node)
        {
            parent->Left = rest;
        }
        else
        {
            parent->Right = rest;
        }

        node->Parent = null;
        node->Left = null;
        node->Right = null;
        node->Rank = 0;
        if (parent != null)
        {
            Mend(parent);
        }
    }

    /// <summary>Merges two heaps along their right sides; the caller sets the root's parent.</summary>
    private static ExpiryNode* Merge(ExpiryNode* a, ExpiryNode* b)
    {
        if (a == null || b == null)
        {
            return a == null ? b : a;
        }

        ExpiryNode* root = null;
        ExpiryNode* last = null;
        while (a != null && b != null)
        {
            if (b->When < a->When)
            {
                ExpiryNode* swapped = a;
                a = b;
                b = swapped;
            }

            if (last == null)
            {
                root = a;
            }
            else
            {
                last->Right = a;
                a->Parent = last;
            }

            last = a;
            a = a->Right;
        }

        ExpiryNode* left = a == null ? b : a;
        last->Right = left;
        if (left != null)
        {
            left->Parent = last;
        }

        root->Parent = null;
        MendAll(last);
        return root;
    }

    /// <summary>Ranks and sides from a node up to the root: all of a merge's right side.</summary>
    private static void MendAll(ExpiryNode* node)
    {
        for (; node != null; node = node->Parent)
        {
            Order(node);
        }
    }

    /// <summary>
    /// As far up as ranks change. A rank that falls makes its parent's fall only where it was the smaller one, and a
    /// path of ranks that each grow by one is logarithmic.
    /// </summary>
    private static void Mend(ExpiryNode* node)
    {
        while (node != null)
        {
            int before = node->Rank;
            Order(node);
            if (node->Rank == before)
            {
                return;
            }

            node = node->Parent;
        }
    }

    private static void Order(ExpiryNode* node)
    {
        int left = node->Left == null ? 0 : node->Left->Rank;
        int right = node->Right == null ? 0 : node->Right->Rank;
        if (left < right)
        {
            ExpiryNode* swapped = node->Left;
            node->Left = node->Right;
            node->Right = swapped;
            right = left;
        }

        node->Rank = right + 1;
    }
}
