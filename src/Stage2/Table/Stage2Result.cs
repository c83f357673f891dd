namespace Quietus.Stage2;

/// <summary>How an operation on a translation table ended. Errors are found before anything was written.</summary>
public enum Stage2Result : byte
{
    /// <summary>All of it was done.</summary>
    Done = 0,

    /// <summary>The budget ran out. The cursor stands where the next call goes on.</summary>
    Again,

    /// <summary>An address or a size is not a multiple of the granule, or of the level's block size.</summary>
    Misaligned,

    /// <summary>An address lies beyond the input or output size, a range is empty or wraps, or a budget is 0.</summary>
    OutOfRange,

    /// <summary>The format has no leaf at this level, or the geometry is not one that the architecture has.</summary>
    IllegalLevel,

    /// <summary>There were not enough table pages.</summary>
    OutOfTables,

    /// <summary>The address is already mapped, to something that may not be changed in place.</summary>
    AlreadyMapped,

    /// <summary>A larger block maps the address: split it, or unmap it, first.</summary>
    BlockInTheWay,

    /// <summary>Smaller leaves map part of the block: see <c>ReplaceTableByBlock</c>.</summary>
    TableInTheWay,

    /// <summary>Nothing is mapped at the address.</summary>
    NotMapped,
}
