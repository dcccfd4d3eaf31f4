namespace C10kServer;

/// <summary>Which byte of a number comes first.</summary>
/// <remarks>The numbers never change, because ConvertTo-Json writes them.</remarks>
public enum ByteOrder
{
    /// <summary>The most significant one, as in most Internet protocols.</summary>
    BigEndian = 0,

    /// <summary>The least significant one.</summary>
    LittleEndian = 1,
}
