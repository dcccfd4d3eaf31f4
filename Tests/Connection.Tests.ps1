# Connections and workers from the shell: rows, filters, closing.

BeforeAll {
    $root = [System.IO.Path]::GetDirectoryName($PSScriptRoot)
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/Clients/TestClient.psm1"
    $server = Start-C10kServer -Name Rows -Workers 4
    $other = Start-C10kServer -Name Other -Workers 1
    $client = Open-TestClient -Argument 'hold', '--port', $server.Port, '--count', 40, '--sources', 4, '--timeout', 120
    $null = Read-TestClient -Client $client
    $null = Invoke-TestClient -Client $client -Line 'echo 2 100'
    $stranger = Open-TestClient -Argument 'hold', '--port', $other.Port, '--count', 3, '--timeout', 120
    $null = Read-TestClient -Client $stranger
    $null = Invoke-TestClient -Client $stranger -Line 'echo 1 10'
}

AfterAll {
    $client, $stranger | ForEach-Object { if ($_) { $null = Close-TestClient -Client $_ } }
    $server, $other | Stop-C10kServer
}

Describe 'Get-C10kConnection' {
    It 'gets those of all servers, or of one, by name, by Id and from the pipeline' {
        Get-C10kConnection | Should -HaveCount 43
        Get-C10kConnection Rows | Should -HaveCount 40
        Get-C10kConnection -Server $other.Id | Should -HaveCount 3
        $other | Get-C10kConnection | Should -HaveCount 3
        Get-C10kServer | Get-C10kConnection | Should -HaveCount 43
    }

    It 'tells what each has done' {
        foreach ($row in Get-C10kConnection Rows) {
            $row.ServerName | Should -Be 'Rows'
            $row.State | Should -Be Open
            $row.CloseReason | Should -Be None
            $row.BytesReceived | Should -Be 200
            $row.BytesSent | Should -Be 200
            $row.MessagesReceived | Should -BeGreaterOrEqual 2
            $row.SendQueue | Should -Be 0
            $row.ReadPaused | Should -BeFalse
            $row.LocalEndPoint | Should -Be $server.EndPoint
            $row.RemoteAddress.ToString() | Should -BeLike '127.0.0.*'
            $row.Age.TotalMinutes | Should -BeLessThan 5
            $row.IdleTime | Should -BeLessOrEqual $row.Age
        }
    }

    It 'filters by worker' {
        $rows = Get-C10kConnection Rows -Worker 1, 2
        $rows | Should -HaveCount 20
        foreach ($row in $rows) { $row.Worker | Should -BeIn 1, 2 }
    }

    It 'filters by state' {
        Get-C10kConnection Rows -State Open | Should -HaveCount 40
        Get-C10kConnection Rows -State Closing, HalfClosed | Should -BeNullOrEmpty
    }

    It 'filters by address and by network' {
        Get-C10kConnection Rows -RemoteAddress 127.0.0.1 | Should -HaveCount 10
        Get-C10kConnection Rows -RemoteAddress 127.0.0.0/8 | Should -HaveCount 40
        Get-C10kConnection Rows -RemoteAddress 127.0.0.2/31 | Should -HaveCount 20
        Get-C10kConnection Rows -RemoteAddress 10.0.0.0/8 | Should -BeNullOrEmpty
        { Get-C10kConnection -RemoteAddress 10.0.0.0/33 } | Should -Throw -ErrorId 'ParameterArgumentTransformationError,C10kServer.Commands.GetC10kConnectionCommand'
    }

    It 'gets by Id, and says which is not there' {
        $id = (Get-C10kConnection Rows)[7].Id
        $got = Get-C10kConnection -Id $id, 9999999 -ErrorAction SilentlyContinue -ErrorVariable missing
        $got.Id | Should -Be $id
        $missing | Should -HaveCount 1
        $missing[0].FullyQualifiedErrorId | Should -Be 'ConnectionNotFound,C10kServer.Commands.GetC10kConnectionCommand'
    }

    It 'is what Where filters' {
        Get-C10kConnection | Where-Object State -EQ Closing | Should -BeNullOrEmpty
        Get-C10kConnection | Where-Object ServerName -EQ Other | Should -HaveCount 3
    }
}

Describe 'Get-C10kWorker' {
    It 'shows each worker with its share' {
        $workers = Get-C10kWorker Rows
        $workers | Should -HaveCount 4
        $workers.Id -join ' ' | Should -Be '0 1 2 3'
        foreach ($worker in $workers) {
            $worker.ServerName | Should -Be 'Rows'
            $worker.State | Should -Be Running
            $worker.ConnectionCount | Should -Be 10
            $worker.ThreadId | Should -BeGreaterThan 0
            $worker.Wakeups | Should -BeGreaterThan 0
            $worker.Events | Should -BeGreaterOrEqual 20
            $worker.BusyPercent | Should -BeLessOrEqual 110
            $worker.QueueLength | Should -Be 0
        }
    }

    It 'gets by Id' {
        (Get-C10kWorker Rows -Id 2).Id | Should -Be 2
    }
}

Describe 'Close-C10kConnection' {
    It 'closes what is piped to it, and nothing else' {
        $mine = Get-C10kConnection Rows -Worker 0
        $mine | Close-C10kConnection
        (Invoke-TestClient -Client $client -Line 'wait ended=10').ended | Should -Be 10
        Wait-Until { $server.ConnectionCount -eq 30 }
        $echo = Invoke-TestClient -Client $client -Line 'echo 1 100'
        $echo.connections | Should -Be 30
        $echo.wrong + $echo.failed | Should -Be 0
    }

    It 'closes by Id, and gives back the row as it is then' {
        $id = (Get-C10kConnection Rows)[0].Id
        $row = Close-C10kConnection -Id $id -PassThru
        $row.Id | Should -Be $id
        $row.State | Should -BeIn Closing, Closed
        $row.CloseReason | Should -Be AdminClosed
        Wait-Until { $server.ConnectionCount -eq 29 }
    }

    It 'does not hit a stranger with a stale row' {
        $row = (Get-C10kConnection Rows)[0]
        $row.Close()
        Wait-Until { $server.ConnectionCount -eq 28 }
        $row | Close-C10kConnection -ErrorAction SilentlyContinue -ErrorVariable gone
        $gone | Should -HaveCount 1
        $gone[0].FullyQualifiedErrorId | Should -Be 'ConnectionNotFound,C10kServer.Commands.CloseC10kConnectionCommand'
        $gone[0].CategoryInfo.Category | Should -Be ObjectNotFound
        $row.Refresh()
        $row.State | Should -Be Closed
        $server.ConnectionCount | Should -Be 28
    }

    It 'resets with -Reset' {
        $before = Invoke-TestClient -Client $client -Line 'status'
        Get-C10kConnection Rows -Worker 2 | Close-C10kConnection -Reset
        Wait-Until { (Invoke-TestClient -Client $client -Line 'status').reset -gt $before.reset }
        Wait-Until { -not (Get-C10kConnection Rows -Worker 2) }
    }

    It 'takes no server and no worker for a connection' {
        { $server | Close-C10kConnection -ErrorAction Stop } | Should -Throw
        { Get-C10kWorker Other | Close-C10kConnection -ErrorAction Stop } | Should -Throw
        $other.ConnectionCount | Should -Be 3
    }

    It 'changes nothing with -WhatIf' {
        Get-C10kConnection Other | Close-C10kConnection -WhatIf
        $other.ConnectionCount | Should -Be 3
    }
}
