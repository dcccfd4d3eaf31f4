namespace C10kServer.Engine;

/// <summary>Names a connection from outside its worker. The id of an ended connection finds no connection, and never another one.</summary>
/// <param name="Id">The connection's id.</param>
/// <param name="Worker">The worker that is likely to own it, or -1.</param>
/// <param name="Slot">The slot in which it is likely to be, or -1.</param>
public readonly record struct ConnectionRef(long Id, int Worker = -1, int Slot = -1);
