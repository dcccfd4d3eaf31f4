namespace C10kServer;

/// <summary>The order of the bytes of a number.</summary>
/// <remarks>The numbers never change, because ConvertTo-Json writes them.</remarks>
public enum ByteOrder
{
    /// <summary>The most significant byte comes first, as in most Internet protocols.</summary>
    BigEndian = 0,

    /// <summary>The least significant byte comes first.</summary>
    LittleEndian = 1,
}
